//! Names of headers, parameters and fields that probably hold a credential.

/// Parts of the names of credentials. Masking a harmless value as well does no harm.
const CREDENTIAL_NAMES: [&str; 11] =
    ["key", "token", "secret", "auth", "sig", "pass", "access", "session", "cookie", "pwd", "credential"];

/// Whole words of the names of credentials: `appid`, `app_id`, `X-App-Id` and `appId`, not `mapPid`.
const CREDENTIAL_WORDS: [&str; 2] = ["appid", "apiid"];

/// Whether a header, a parameter or a field of this name probably holds a credential.
pub(super) fn names_credential(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    if CREDENTIAL_NAMES.iter().any(|part| lower.contains(part)) {
        return true;
    }
    let words = words_of_name(name);
    let pairs = words.windows(2).map(<[String]>::concat);
    pairs.chain(words.iter().cloned()).any(|word| CREDENTIAL_WORDS.contains(&word.as_str()))
}

/// The words of `some_name`, `Some-Name` or `someName`, in lower case.
fn words_of_name(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_after_small = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || is_after_small && c.is_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.push(c.to_ascii_lowercase());
        }
        is_after_small = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}
