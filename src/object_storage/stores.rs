//! The single operations on objects. Each blocks its thread.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::client::{HttpClient, HttpService};
use object_store::path::Path;
use object_store::{
    GetOptions, ObjectMeta, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use tokio::runtime::Runtime;
use url::Url;

use super::client::{Client, Connector};
use super::error::{StoreError, StoreErrorKind};
use super::settings::StoreSettings;
use crate::model::{ObjectAddress, ObjectScheme};

/// How long is waited for an answer that only saves others time.
const SOON: Duration = Duration::from_secs(5);

const NO_ENDPOINT: &str = "the endpoint that is set for it is no address such as http://127.0.0.1:9000";

/// All object stores of a run.
pub(crate) struct ObjectStores {
    /// Of their own: they are used while the loop of the run does other work, and after its end.
    runtime: Runtime,
    connector: Connector,
    settings: StoreSettings,
    clients: Mutex<HashMap<(ObjectScheme, Box<str>), Client>>,
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundObject {
    /// Its length in bytes.
    pub(crate) size: u64,
    /// What distinguishes it from every other object that was ever at its address.
    pub(crate) version: ObjectVersion,
    /// When it was written, by the store's clock.
    pub(crate) modified: SystemTime,
}

/// One state of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectVersion(pub(super) UpdateVersion);

impl ObjectVersion {
    /// As a note has it.
    pub(crate) fn text(&self) -> String {
        self.0.e_tag.clone().or_else(|| self.0.version.clone()).unwrap_or_default()
    }
}

/// Under what condition an object is written.
#[derive(Debug, Clone)]
pub(super) enum WriteCondition {
    /// Whatever is there.
    None,
    /// Nothing is there.
    Absent,
    /// This is there.
    Is(ObjectVersion),
}

impl ObjectStores {
    /// Sets up what all clients share; no request is sent.
    ///
    /// # Errors
    /// The system gives no descriptors for it.
    pub(crate) fn new(http: impl HttpService, settings: StoreSettings) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let connector = Connector(HttpClient::new(http));
        Ok(Self { runtime, connector, settings, clients: Mutex::default() })
    }

    /// What is at an address; none: nothing.
    ///
    /// # Errors
    /// The store refuses it, does not answer, or has no such bucket.
    pub(crate) fn look(&self, address: &ObjectAddress) -> Result<Option<FoundObject>, StoreError> {
        let found = self.run(address, |client, path| async move { client.objects.head(&path).await });
        match found {
            Ok(found) => Ok(Some(found.into())),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Some bytes of an object that still is what was found.
    ///
    /// # Errors
    /// [`StoreErrorKind::Changed`] where it is another one or gone.
    pub(super) fn bytes(
        &self,
        address: &ObjectAddress,
        found: &FoundObject,
        range: Range<u64>,
    ) -> Result<Bytes, StoreError> {
        let wanted = range.end - range.start;
        let if_match = found.version.0.e_tag.clone();
        let bytes = self.run(address, |client, path| async move {
            let options = GetOptions { if_match, range: Some(range.into()), ..GetOptions::default() };
            let answer = client.objects.get_opts(&path, options).await?;
            let size = answer.meta.size;
            Ok((answer.bytes().await?, size))
        });
        match bytes {
            Ok((bytes, size)) if bytes.len() as u64 == wanted && size == found.size => Ok(bytes),
            Ok(_) => Err(StoreError::new(StoreErrorKind::Changed, address, "its length is another now")),
            Err(error) if error.kind == StoreErrorKind::NotFound => {
                Err(StoreError { kind: StoreErrorKind::Changed, ..error })
            }
            Err(error) => Err(error),
        }
    }

    /// A whole small object; none: there is none.
    pub(super) fn read(&self, address: &ObjectAddress) -> Result<Option<(FoundObject, Bytes)>, StoreError> {
        let answer = self.run(address, |client, path| async move {
            let answer = client.objects.get(&path).await?;
            let found = answer.meta.clone();
            Ok((found.into(), answer.bytes().await?))
        });
        match answer {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a whole object in one request.
    ///
    /// # Errors
    /// [`StoreErrorKind::Changed`] where the condition does not hold.
    pub(super) fn write(
        &self,
        address: &ObjectAddress,
        bytes: Bytes,
        condition: WriteCondition,
    ) -> Result<ObjectVersion, StoreError> {
        self.put(address, (bytes, condition), Duration::MAX)
    }

    fn put(
        &self,
        address: &ObjectAddress,
        (bytes, condition): (Bytes, WriteCondition),
        limit: Duration,
    ) -> Result<ObjectVersion, StoreError> {
        let mode = match condition {
            WriteCondition::None => PutMode::Overwrite,
            WriteCondition::Absent => PutMode::Create,
            WriteCondition::Is(ObjectVersion(version)) => PutMode::Update(version),
        };
        self.run(address, |client, path| async move {
            let options = PutOptions { mode, ..PutOptions::default() };
            let put = client.objects.put_opts(&path, PutPayload::from_bytes(bytes), options);
            let late =
                |_| object_store::Error::Generic { store: "store", source: "it does not answer".into() };
            let put = tokio::time::timeout(limit, put).await.map_err(late)??;
            Ok(ObjectVersion(put.into()))
        })
    }

    /// As [`Self::write`], for what is not worth a long wait.
    pub(super) fn write_soon(
        &self,
        address: &ObjectAddress,
        bytes: Bytes,
        condition: WriteCondition,
    ) -> Result<ObjectVersion, StoreError> {
        self.put(address, (bytes, condition), SOON)
    }

    /// Removes an object; one that is not there counts as removed.
    ///
    /// # Errors
    /// The store refuses it or does not answer.
    pub(crate) fn remove(&self, address: &ObjectAddress) -> Result<(), StoreError> {
        match self.run(address, |client, path| async move { client.objects.delete(&path).await }) {
            Err(error) if error.kind != StoreErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The objects whose keys begin with that of `folder` and a slash, by the rest of their keys.
    ///
    /// # Errors
    /// The store refuses it or does not answer.
    pub(crate) fn list(&self, folder: &ObjectAddress) -> Result<Vec<(String, FoundObject)>, StoreError> {
        let prefix = format!("{}/", folder.key());
        let all: Vec<ObjectMeta> =
            self.run(
                folder,
                |client, path| async move { client.objects.list(Some(&path)).try_collect().await },
            )?;
        let rest = |found: ObjectMeta| {
            let name = found.location.as_ref().strip_prefix(&prefix)?.to_owned();
            Some((name, found.into()))
        };
        Ok(all.into_iter().filter_map(rest).collect())
    }

    /// Does one operation on an object.
    pub(super) fn run<T, F: Future<Output = object_store::Result<T>>>(
        &self,
        address: &ObjectAddress,
        operation: impl FnOnce(Client, Path) -> F,
    ) -> Result<T, StoreError> {
        let (client, path) = (self.client(address)?, path_of(address)?);
        let has_credentials = client.has_credentials;
        self.runtime.block_on(operation(client, path)).map_err(StoreError::of(address, has_credentials))
    }

    fn client(&self, address: &ObjectAddress) -> Result<Client, StoreError> {
        let bucket = (address.scheme(), address.bucket().into());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&bucket) {
            return Ok(client.clone());
        }
        // The crate would panic at its first request.
        if self.settings.endpoint(address.scheme()).is_some_and(|endpoint| !is_address(&endpoint)) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, address, NO_ENDPOINT));
        }
        let options = self.settings.options(address.scheme());
        let made = Client::new((bucket.0, &*bucket.1), &options, self.connector.clone());
        let client = made.map_err(|error| {
            let has_credentials = StoreSettings::has_credentials(&options);
            let error = StoreError::of(address, has_credentials)(error);
            StoreError { kind: StoreErrorKind::Denied, ..error }
        })?;
        clients.insert(bucket, client.clone());
        Ok(client)
    }
}

fn is_address(endpoint: &str) -> bool {
    Url::parse(endpoint).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn path_of(address: &ObjectAddress) -> Result<Path, StoreError> {
    Path::parse(address.key())
        .map_err(|error| StoreError::new(StoreErrorKind::Unsupported, address, error.to_string()))
}

impl From<ObjectMeta> for FoundObject {
    fn from(meta: ObjectMeta) -> Self {
        let version = UpdateVersion { e_tag: meta.e_tag, version: meta.version };
        Self { size: meta.size, version: ObjectVersion(version), modified: meta.last_modified.into() }
    }
}
