//! Times as JSON texts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Writes times; formats a second once, since thousands of answers share it.
#[derive(Default)]
pub(crate) struct TimestampCache {
    second: Option<u64>,
    text: String,
}

/// The last second of the year 9999, the last that RFC 3339 can write.
const LAST_SECOND: u64 = 253_402_300_799;

impl TimestampCache {
    /// Appends a time of RFC 3339 with milliseconds, in quotes.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, at: SystemTime) {
        // A clock before 1970 is wrong: the record is kept, with 1970 as its time.
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs().min(LAST_SECOND);
        if self.second != Some(second) {
            let whole = UNIX_EPOCH + Duration::from_secs(second);
            self.text = humantime::format_rfc3339_seconds(whole).to_string();
            self.text.truncate(self.text.len() - 1);
            self.second = Some(second);
        }
        out.push(b'"');
        out.extend_from_slice(self.text.as_bytes());
        let millis = since.subsec_millis();
        let digit = |n: u32| b"0123456789"[(n % 10) as usize];
        out.extend_from_slice(&[b'.', digit(millis / 100), digit(millis / 10), digit(millis), b'Z', b'"']);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_rfc_3339_cannot_write_are_clamped() {
        let mut clock = TimestampCache::default();
        let mut out = Vec::new();
        clock.push(&mut out, UNIX_EPOCH - Duration::from_secs(9));
        clock.push(&mut out, UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 9));
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "\"1970-01-01T00:00:00.000Z\"\"9999-12-31T23:59:59.000Z\"");
    }
}
