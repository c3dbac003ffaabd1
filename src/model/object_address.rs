//! The address of an object in an object store: `s3://bucket/folder/out.json`.

use std::fmt;
use std::path::Path;

/// A kind of object store, by the scheme of its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectScheme {
    /// Amazon S3 and servers of its protocol: `s3://`.
    S3,
    /// Google Cloud Storage: `gs://`.
    Gs,
    /// Azure Blob Storage: `az://`.
    Az,
}

/// What every scheme is followed by.
const SEPARATOR: &str = "://";

impl ObjectScheme {
    const ALL: [Self; 3] = [Self::S3, Self::Gs, Self::Az];

    /// As it is written in an address.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Az => "az",
        }
    }
}

/// The address of an object: a scheme, a bucket (in Azure a container), and a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectAddress {
    scheme: ObjectScheme,
    bucket: Box<str>,
    key: Box<str>,
}

/// Why an address names no object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectAddressError {
    /// There is no name between the scheme and the first slash.
    #[error("no bucket is named: write {0}://BUCKET/NAME")]
    NoBucket(&'static str),
    /// There is nothing behind the last slash.
    #[error("no object is named: write {0}://BUCKET/NAME")]
    NoKey(&'static str),
    /// A part of the key is empty, `.` or `..`, or it has a control character.
    #[error("`{0}` cannot be a part of an object's name here")]
    Segment(String),
    /// The bucket's name has a character that no bucket's name has.
    #[error("`{0}` is no bucket's name")]
    Bucket(String),
}

impl ObjectAddress {
    /// Whether a path or an argument is meant as such an address. A local file of such a name is written `./s3:…`.
    #[must_use]
    pub fn is_meant_by(path: &Path) -> bool {
        path.to_str().is_some_and(|text| split(text).is_some())
    }

    /// Reads an address.
    ///
    /// # Errors
    /// `None` where it is not meant as one; otherwise what is wrong with it.
    #[must_use]
    pub fn parse(path: &Path) -> Option<Result<Self, ObjectAddressError>> {
        let (scheme, rest) = split(path.to_str()?)?;
        Some(Self::of(scheme, rest))
    }

    fn of(scheme: ObjectScheme, rest: &str) -> Result<Self, ObjectAddressError> {
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(ObjectAddressError::NoBucket(scheme.name()));
        }
        let may_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !bucket.bytes().all(may_name) {
            return Err(ObjectAddressError::Bucket(bucket.escape_debug().to_string()));
        }
        if key.is_empty() || key.ends_with('/') {
            return Err(ObjectAddressError::NoKey(scheme.name()));
        }
        let is_unusable = |part: &&str| {
            part.is_empty() || *part == "." || *part == ".." || part.chars().any(char::is_control)
        };
        if let Some(part) = key.split('/').find(is_unusable) {
            return Err(ObjectAddressError::Segment(part.escape_debug().to_string()));
        }
        Ok(Self { scheme, bucket: bucket.into(), key: key.into() })
    }

    /// The kind of store.
    #[must_use]
    pub fn scheme(&self) -> ObjectScheme {
        self.scheme
    }

    /// The bucket, in Azure the container.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The name of the object in its bucket.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The key up to its last part, with the slash; empty at the top of a bucket.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.key.rfind('/').map_or("", |slash| &self.key[..=slash])
    }

    /// The last part of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.key[self.prefix().len()..]
    }

    /// Another object of the same prefix; `name` may have slashes.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        let key = format!("{}{name}", self.prefix()).into();
        Self { key, ..self.clone() }
    }
}

impl fmt::Display for ObjectAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SEPARATOR}{}/{}", self.scheme.name(), self.bucket, self.key)
    }
}

fn split(text: &str) -> Option<(ObjectScheme, &str)> {
    ObjectScheme::ALL.into_iter().find_map(|scheme| {
        let given = text.get(..scheme.name().len())?;
        let rest = text[given.len()..].strip_prefix(SEPARATOR)?;
        given.eq_ignore_ascii_case(scheme.name()).then_some((scheme, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Result<ObjectAddress, ObjectAddressError>> {
        ObjectAddress::parse(Path::new(text))
    }

    #[test]
    fn an_address_has_a_scheme_a_bucket_and_a_key() {
        let address = parse("s3://shop/nightly/out.json").unwrap().unwrap();
        assert_eq!(
            (address.scheme(), address.bucket(), address.key()),
            (ObjectScheme::S3, "shop", "nightly/out.json")
        );
        assert_eq!((address.prefix(), address.name()), ("nightly/", "out.json"));
        assert_eq!(address.to_string(), "s3://shop/nightly/out.json");
        assert_eq!(address.beside("out.failed.csv").to_string(), "s3://shop/nightly/out.failed.csv");
        assert_eq!(parse("GS://b/x").unwrap().unwrap().to_string(), "gs://b/x");
        assert_eq!(parse("az://c/a b/ü.csv").unwrap().unwrap().key(), "a b/ü.csv");
    }

    #[test]
    fn a_local_path_is_none_and_a_broken_address_is_never_taken_for_one() {
        for path in ["out.json", "./s3://b/k", "s3", "s3:/b/k", "s4://b/k", "file:///x", "é3://b/k"] {
            assert!(parse(path).is_none(), "{path}");
        }
        for (address, says) in [
            ("s3://", "no bucket"),
            ("s3:///key", "no bucket"),
            ("s3://bucket", "no object"),
            ("s3://bucket/", "no object"),
            ("s3://bucket/folder/", "no object"),
            ("s3://bucket/a//b", "cannot be a part"),
            ("s3://bucket/../b", "cannot be a part"),
            ("s3://bucket/a\u{7}", "cannot be a part"),
            ("s3://user:secret@bucket/a", "no bucket's name"),
        ] {
            let error = parse(address).unwrap().unwrap_err().to_string();
            assert!(error.contains(says), "{address}: {error}");
        }
    }
}
