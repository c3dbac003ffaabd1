"""The laws of limiters, and the list of those that the benches use."""
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Callable


class Bucket:
    """Accepts `per_second` on average, and `burst` more at once. nginx's `rate=…r/s burst=… nodelay` is this."""

    def __init__(self, per_second, burst):
        self.per_second, self.most, self.level, self.at = per_second, burst + 1, 0.0, None

    def admit(self, now):
        """Seconds until the next would be accepted; 0 means that this one is."""
        if self.at is not None:
            self.level = max(0.0, self.level - (now - self.at) * self.per_second)
        self.at = now
        if self.level + 1 > self.most + 1e-9:
            return (self.level + 1 - self.most) / self.per_second
        self.level += 1
        return 0


class Window:
    """Accepts `most` in each `period`, counted from the first request or, with `of_the_clock`, from its multiples."""

    def __init__(self, most, period, of_the_clock=False):
        self.most, self.period, self.of_the_clock = most, period, of_the_clock
        self.began, self.count = None, 0

    def admit(self, now):
        if self.began is None or now >= self.began + self.period:
            self.began = math.floor(now / self.period) * self.period if self.of_the_clock else now
            self.count = 0
        if self.count >= self.most:
            return self.began + self.period - now
        self.count += 1
        return 0

    def fields(self, now):
        began = now if self.began is None else self.began
        return {"RateLimit-Limit": self.most, "RateLimit-Remaining": max(0, self.most - self.count),
                "RateLimit-Reset": math.ceil(began + self.period - now)}


class Sliding:
    """Accepts `most` in any period of this length."""

    def __init__(self, most, period):
        self.most, self.period, self.times = most, period, deque()

    def admit(self, now):
        while self.times and self.times[0] <= now - self.period:
            self.times.popleft()
        if len(self.times) >= self.most:
            return self.times[0] + self.period - now
        self.times.append(now)
        return 0


class Both:
    """Accepts what both accept."""

    def __init__(self, first, second):
        self.laws = first, second

    def admit(self, now):
        waits = [law.admit(now) for law in self.laws]
        for law, wait in zip(self.laws, waits):
            if wait == 0 and any(waits):
                law.count -= 1
        return max(waits)


class Ban:
    """After a refusal nothing is accepted for so many seconds."""

    def __init__(self, law, seconds):
        self.make, self.law, self.seconds, self.until = law, law(), seconds, 0

    def admit(self, now):
        if now >= self.until:
            if self.law.admit(now) == 0:
                return 0
            self.until, self.law = now + self.seconds, self.make()
        return self.until - now


@dataclass
class Limiter:
    """A limiter, and how it refuses."""

    name: str
    told: str
    # Makes the law; None where the number in flight is limited by `cap`.
    law: Callable = None
    # What it accepts for long, in requests a second.
    per_second: float = 0.0
    # What it accepts at once beside that.
    burst: int = 0
    cap: int = None
    # SKUs that a bench asks for.
    skus: int = 300
    status: int = 429
    retry_after: bool = False
    has_fields: bool = False
    body: bytes = b'{"error":"slow down"}'
    # How long an answer takes.
    latency: float = 0.03
    headers: dict = field(default_factory=dict)


def bucket(name, told, per_second, burst, **more):
    return Limiter(name, told, lambda: Bucket(per_second, burst), per_second, burst, **more)


def window(name, told, most, period, of_the_clock=False, **more):
    return Limiter(name, told, lambda: Window(most, period, of_the_clock), most / period, most, **more)


SECONDARY = b'{"message":"You have exceeded a secondary rate limit."}'

LIMITERS = [
    bucket("strict-20", "20/s, no burst, 429", 20, 0, skus=400),
    bucket("strict-20-503", "20/s, no burst, 503", 20, 0, status=503, skus=400),
    bucket("slow-2-503", "2/s, burst 10, 503", 2, 10, status=503, skus=90),
    window("slow-second-503", "2 in a second, 503", 2, 1, status=503, skus=90),
    bucket("strict-5", "5/s, no burst, 429", 5, 0, skus=150),
    bucket("burst-20", "20/s, burst 20, 429", 20, 20, skus=400),
    bucket("burst-20-503", "20/s, burst 20, 503", 20, 20, status=503, skus=400),
    bucket("retry-after-20", "20/s, burst 10, Retry-After", 20, 10, retry_after=True, skus=400),
    bucket("burst-200", "200/s, burst 20, 429", 200, 20, skus=4000),
    bucket("burst-200-503", "200/s, burst 20, 503", 200, 20, status=503, skus=4000),
    bucket("strict-200", "200/s, no burst, 429", 200, 0, skus=4000),
    bucket("vendor-2", "2/s, burst 20, 429", 2, 20, skus=90),
    bucket("minute-100", "100/m, burst 5, 429", 100 / 60, 5, skus=70),
    bucket("odd-37", "37/s, burst 5, 429", 37, 5, skus=700),
    window("window-10s", "50 in 10 s, 429", 50, 10, skus=175),
    window("window-10s-told", "50 in 10 s, Retry-After", 50, 10, skus=175, retry_after=True),
    window("fields-10s", "50 in 10 s, fields", 50, 10, skus=175, retry_after=True, has_fields=True),
    window("second", "10 in a second of the clock, 429", 10, 1, True, skus=200),
    window("second-told", "10 in a second, Retry-After", 10, 1, skus=200, retry_after=True),
    window("minute-clock", "60 in a minute of the clock, 429", 60, 60, True, skus=130),
    Limiter("sliding-second", "10 in any second, 429", lambda: Sliding(10, 1), 10, 10, skus=200),
    Limiter("sliding-10s", "100 in any 10 s, 429", lambda: Sliding(100, 10), 10, 100, skus=350),
    Limiter("two", "10 in a second and 60 in 10 s, Retry-After", lambda: Both(Window(10, 1), Window(60, 10)), 6, 60,
            skus=200, retry_after=True),
    Limiter("ban", "15/s, burst 15, else 5 s of 403", lambda: Ban(lambda: Bucket(15, 15), 5), 15, 15, skus=400,
            status=403, retry_after=True, body=SECONDARY),
    Limiter("cap-10-503", "10 in flight, 503", cap=10, status=503, skus=3000, latency=0.05),
    Limiter("cap-10-429", "10 in flight, 429", cap=10, skus=3000, latency=0.05),
    Limiter("cap-4-508", "4 in flight, 508", cap=4, status=508, skus=1200, latency=0.05),
    Limiter("cap-10-500", "10 in flight, 500", cap=10, status=500, skus=3000, latency=0.05),
]


def named(names):
    """Those of these names; all without any."""
    known = {limiter.name: limiter for limiter in LIMITERS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no such limiter: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] if names else LIMITERS
