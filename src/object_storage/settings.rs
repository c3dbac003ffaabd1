//! Credentials and endpoints, where the stores' own tools find them: in the environment and in files of the user.

use std::collections::BTreeMap;

use crate::model::ObjectScheme;

/// What is known of the stores before the first request.
#[derive(Clone, Default)]
pub(crate) struct StoreSettings {
    variables: BTreeMap<String, String>,
    /// `~/.aws/config` and `~/.aws/credentials`, or the files that the environment names for them.
    aws_files: [Option<String>; 2],
}

/// Names that the tools of Azure read, and those under which the crate knows their values.
const AZURE_NAMES: [(&str, &str); 2] =
    [("azure_storage_account", "account_name"), ("azure_storage_key", "account_key")];

/// The fields of a connection string of Azure.
const CONNECTION_FIELDS: [(&str, &str); 4] = [
    ("AccountName", "account_name"),
    ("AccountKey", "account_key"),
    ("BlobEndpoint", "endpoint"),
    ("SharedAccessSignature", "sas_token"),
];

const CONNECTION_STRING: &str = "azure_storage_connection_string";

/// What a file of AWS says that the crate takes.
const AWS_FIELDS: [&str; 5] =
    ["aws_access_key_id", "aws_secret_access_key", "aws_session_token", "region", "endpoint_url"];

/// Any of these names credentials, by itself or by naming who has them.
const OF_CREDENTIALS: [&str; 18] = [
    "aws_access_key_id",
    "access_key_id",
    "aws_web_identity_token_file",
    "aws_container_credentials_relative_uri",
    "aws_container_credentials_full_uri",
    "aws_skip_signature",
    "account_key",
    "azure_storage_account_key",
    "azure_storage_access_key",
    "azure_storage_sas_token",
    "azure_storage_sas_key",
    "sas_token",
    "azure_client_id",
    "azure_skip_signature",
    "google_application_credentials",
    "google_service_account",
    "google_service_account_key",
    "google_skip_signature",
];

impl StoreSettings {
    /// The prefixes of the environment variables that count.
    pub(crate) const PREFIXES: [&'static str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

    /// `variables` have one of [`Self::PREFIXES`]; `aws_files` are what the files of AWS hold, the config first.
    pub(crate) fn new(
        variables: impl IntoIterator<Item = (String, String)>,
        aws_files: [Option<String>; 2],
    ) -> Self {
        let variables =
            variables.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        Self { variables, aws_files }
    }

    /// The options of one kind of store, by the names that the crate knows, in lower case. Stronger ones come later.
    pub(super) fn options(&self, scheme: ObjectScheme) -> BTreeMap<String, String> {
        let prefix = match scheme {
            ObjectScheme::S3 => "aws_",
            ObjectScheme::Gs => "google_",
            ObjectScheme::Az => "azure_",
        };
        let of_scheme =
            self.variables.iter().filter(|(name, value)| name.starts_with(prefix) && !value.is_empty());
        let mut options = BTreeMap::new();
        match scheme {
            ObjectScheme::S3 => options.extend(self.of_profile()),
            ObjectScheme::Az => options.extend(self.of_connection_string()),
            ObjectScheme::Gs => {}
        }
        if scheme == ObjectScheme::S3 && self.variables.contains_key("aws_access_key_id") {
            // The session token of a profile belongs to the key of the profile.
            options.retain(|name, _| !name.starts_with("aws_"));
        }
        for (name, value) in of_scheme {
            let name = AZURE_NAMES.iter().find(|(theirs, _)| theirs == name).map_or(name.as_str(), |it| it.1);
            options.insert(name.to_owned(), value.clone());
        }
        options
    }

    /// Whether credentials, or who has them, are named by what is known here. Otherwise the machine itself is asked for
    /// some, as the tools do.
    pub(super) fn has_credentials(options: &BTreeMap<String, String>) -> bool {
        OF_CREDENTIALS.iter().any(|name| options.contains_key(*name))
    }

    /// The endpoint of a kind of store, where one is set: two stores may have buckets of one name.
    pub(crate) fn endpoint(&self, scheme: ObjectScheme) -> Option<String> {
        const NAMES: [&str; 7] = [
            "aws_endpoint_url_s3",
            "aws_endpoint_url",
            "aws_endpoint",
            "google_base_url",
            "endpoint",
            "endpoint_url",
            "azure_storage_endpoint",
        ];
        let options = self.options(scheme);
        NAMES.iter().find_map(|name| options.get(*name)).cloned()
    }

    /// What the files of AWS say of the profile in use.
    fn of_profile(&self) -> BTreeMap<String, String> {
        let profile = self.variables.get("aws_profile").or_else(|| self.variables.get("aws_default_profile"));
        let profile = profile.map_or("default", String::as_str);
        let mut options = BTreeMap::new();
        for text in self.aws_files.iter().flatten() {
            options.extend(profile_in(text, profile));
        }
        options
    }

    fn of_connection_string(&self) -> BTreeMap<String, String> {
        let text = self.variables.get(CONNECTION_STRING).map_or("", String::as_str);
        let mut options = BTreeMap::new();
        for (name, value) in text.split(';').filter_map(|field| field.split_once('=')) {
            if let Some((_, known)) = CONNECTION_FIELDS.iter().find(|(theirs, _)| *theirs == name.trim()) {
                options.insert((*known).to_owned(), value.trim().to_owned());
            }
        }
        options
    }
}

/// The fields of a profile in the form of AWS: sections in brackets, `name = value` below them.
fn profile_in(text: &str, profile: &str) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    let mut is_it = false;
    for line in text.lines() {
        let line = line.trim_end();
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let section = section.trim();
            is_it = section.strip_prefix("profile ").map_or(section, str::trim) == profile;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| is_it && !line.starts_with('#')) {
            // An indented line is part of the value above it, such as `s3 =`.
            let is_nested = name.starts_with([' ', '\t']);
            if let Some(known) = AWS_FIELDS.iter().find(|known| **known == name.trim() && !is_nested) {
                options.insert((*known).to_owned(), value.trim().to_owned());
            }
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[default]\nregion = eu-west-1\n[profile ci]\nregion=eu-north-1\ns3 =\n  endpoint_url = http://no\n\
                          endpoint_url = http://localhost:9000\n";
    const CREDENTIALS: &str = "[default]\naws_access_key_id = A\naws_secret_access_key = B=\naws_session_token = T\n\
                               [ci]\naws_access_key_id=C\naws_secret_access_key=D\n";

    fn settings(variables: &[(&str, &str)]) -> StoreSettings {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        StoreSettings::new(variables, [Some(CONFIG.into()), Some(CREDENTIALS.into())])
    }

    fn shown(options: &BTreeMap<String, String>) -> String {
        options.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(";")
    }

    #[test]
    fn the_environment_wins_over_the_profile_and_its_key_has_its_own_token() {
        let s3 = |variables: &[(&str, &str)]| shown(&settings(variables).options(ObjectScheme::S3));
        assert_eq!(
            s3(&[]),
            "aws_access_key_id=A;aws_secret_access_key=B=;aws_session_token=T;region=eu-west-1"
        );
        assert_eq!(
            s3(&[("AWS_PROFILE", "ci")]),
            "aws_access_key_id=C;aws_profile=ci;aws_secret_access_key=D;endpoint_url=http://localhost:9000;\
             region=eu-north-1"
        );
        assert_eq!(
            s3(&[("AWS_ACCESS_KEY_ID", "X"), ("AWS_SECRET_ACCESS_KEY", "Y")]),
            "aws_access_key_id=X;aws_secret_access_key=Y;region=eu-west-1"
        );
        let of = |name: &str| settings(&[("AWS_PROFILE", name)]).options(ObjectScheme::S3);
        assert!(StoreSettings::has_credentials(&of("ci")) && !StoreSettings::has_credentials(&of("absent")));
    }

    #[test]
    fn azure_is_named_as_its_tools_name_it() {
        let az = |variables: &[(&str, &str)]| shown(&settings(variables).options(ObjectScheme::Az));
        assert_eq!(
            az(&[("AZURE_STORAGE_ACCOUNT", "a"), ("AZURE_STORAGE_KEY", "k")]),
            "account_key=k;account_name=a"
        );
        let string = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=k==;BlobEndpoint=http://h:1/a;";
        let settings = settings(&[("AZURE_STORAGE_CONNECTION_STRING", string)]);
        let options = settings.options(ObjectScheme::Az);
        assert_eq!((options["account_key"].as_str(), options["endpoint"].as_str()), ("k==", "http://h:1/a"));
        assert_eq!(settings.endpoint(ObjectScheme::Az).as_deref(), Some("http://h:1/a"));
        assert_eq!(settings.endpoint(ObjectScheme::Gs), None);
    }
}
