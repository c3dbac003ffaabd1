"""requests in a pool of 16 threads, retried by tenacity: exponential back-off with jitter, Retry-After, 10 attempts."""
import sys
from concurrent.futures import ThreadPoolExecutor

import requests
from tenacity import RetryError, retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

WORKERS, ATTEMPTS = 16, 10


class Refused(Exception):
    pass


def wait(state):
    """At least what Retry-After says."""
    asked = state.outcome.exception().args[0].headers.get("Retry-After", "0")
    return max(wait_random_exponential(multiplier=0.5, max=60)(state), float(asked))


@retry(retry=retry_if_exception_type(Refused), wait=wait, stop=stop_after_attempt(ATTEMPTS))
def get(session, url):
    answer = session.get(url, timeout=30)
    if answer.status_code in (403, 429, 500, 502, 503, 504, 508):
        raise Refused(answer)
    answer.raise_for_status()
    return answer.json()


def main(base, count):
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=WORKERS))

    def fetched(number):
        try:
            return get(session, f"{base}S{number}") is not None
        except RetryError:
            return False

    with ThreadPoolExecutor(WORKERS) as pool:
        print(sum(pool.map(fetched, range(count))))


main(sys.argv[1], int(sys.argv[2]))
