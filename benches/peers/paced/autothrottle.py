"""Scrapy with AutoThrottle: it starts at 0.1 s, aims at 16 at once, and its retries take 4 more attempts."""
import sys

import scrapy
from scrapy.crawler import CrawlerProcess


class Catalogue(scrapy.Spider):
    name = "catalogue"
    came = 0
    custom_settings = {
        "AUTOTHROTTLE_ENABLED": True,
        "AUTOTHROTTLE_START_DELAY": 0.1,
        "AUTOTHROTTLE_MAX_DELAY": 60,
        "AUTOTHROTTLE_TARGET_CONCURRENCY": 16,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 16,
        "RETRY_TIMES": 4,
        "RETRY_HTTP_CODES": [403, 429, 500, 502, 503, 504, 508],
        "ROBOTSTXT_OBEY": False,
        "TELNETCONSOLE_ENABLED": False,
        "LOG_ENABLED": False,
    }

    async def start(self):
        for number in range(int(sys.argv[2])):
            yield scrapy.Request(f"{sys.argv[1]}S{number}")

    def parse(self, response):
        Catalogue.came += 1


process = CrawlerProcess()
process.crawl(Catalogue)
process.start()
print(Catalogue.came)
