//! A client of one bucket.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{HttpClient, HttpConnector};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::MultipartStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, Result, RetryConfig};

use super::settings::StoreSettings;
use crate::model::ObjectScheme;

/// How long one request is repeated while a store does not answer or answers with an error.
const RETRIED_FOR: Duration = Duration::from_mins(1);

/// The client of one bucket.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) multipart: Arc<dyn MultipartStore>,
    /// Credentials were found without asking anybody.
    pub(super) has_credentials: bool,
}

/// Gives every client the one HTTP client of the run.
#[derive(Debug, Clone)]
pub(super) struct Connector(pub(super) HttpClient);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient> {
        Ok(self.0.clone())
    }
}

impl Client {
    /// Makes the client of a bucket; no request is sent.
    pub(super) fn new(
        (scheme, bucket): (ObjectScheme, &str),
        options: &BTreeMap<String, String>,
        connector: Connector,
    ) -> Result<Self> {
        let retry = RetryConfig {
            // Each wait is between the first and three times the one before: with less, the number of retries would
            // end them after seconds.
            backoff: BackoffConfig {
                max_backoff: Duration::from_secs(5),
                base: 3.0,
                ..BackoffConfig::default()
            },
            max_retries: 100,
            retry_timeout: RETRIED_FOR,
        };
        let has_credentials = StoreSettings::has_credentials(options);
        macro_rules! with_options {
            ($builder:expr) => {{
                let mut builder = $builder.with_retry(retry).with_http_connector(connector);
                for (name, value) in options {
                    // Variables that the crate does not know are those of other tools.
                    if let Ok(key) = name.parse() {
                        builder = builder.with_config(key, value);
                    }
                }
                builder
            }};
        }
        macro_rules! both {
            ($store:expr) => {{
                let store = Arc::new($store);
                Ok(Self { objects: Arc::clone(&store) as _, multipart: store, has_credentials })
            }};
        }
        match scheme {
            ObjectScheme::S3 => {
                // One object at a time is removed: not every server of the protocol takes a list of them.
                let builder = with_options!(AmazonS3Builder::new()).with_disable_bulk_delete(true);
                both!(builder.with_bucket_name(bucket).build()?)
            }
            ObjectScheme::Gs => {
                both!(with_options!(GoogleCloudStorageBuilder::new()).with_bucket_name(bucket).build()?)
            }
            ObjectScheme::Az => {
                both!(with_options!(MicrosoftAzureBuilder::new()).with_container_name(bucket).build()?)
            }
        }
    }
}
