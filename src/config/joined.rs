//! Joins static texts at compile time: the help of a setting is static, and takes the names of other options from their
//! constants.

/// Joins constant texts to one.
macro_rules! joined {
    ($($part:expr),+ $(,)?) => {{
        const PARTS: &[&str] = &[$($part),+];
        const BYTES: [u8; $crate::config::joined::length(PARTS)] = $crate::config::joined::bytes(PARTS);
        const TEXT: &str = match std::str::from_utf8(&BYTES) {
            Ok(text) => text,
            Err(_) => panic!("texts are UTF-8"),
        };
        TEXT
    }};
}

pub(super) use joined;

/// The length of all parts, in bytes.
pub(super) const fn length(parts: &[&str]) -> usize {
    let mut length = 0;
    let mut part = 0;
    while part < parts.len() {
        length += parts[part].len();
        part += 1;
    }
    length
}

/// The bytes of all parts; `N` is their [`length`].
pub(super) const fn bytes<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut bytes = [0; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let from = parts[part].as_bytes();
        let mut read = 0;
        while read < from.len() {
            bytes[at] = from[read];
            at += 1;
            read += 1;
        }
        part += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn parts_are_joined_in_their_order() {
        const END: &str = "é";
        const TEXT: &str = joined!("a", "", " bc ", END);
        assert_eq!(TEXT, "a bc é");
    }
}
