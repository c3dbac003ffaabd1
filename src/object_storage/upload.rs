//! A file becomes an object in one step.
//!
//! A small file is sent by one request. A large one is sent in parts, which nobody sees until one last request puts them
//! together. The stores cannot make that last request depend on anything, so that whoever makes it holds the lock.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::PutPayload;
use object_store::multipart::PartId;

use super::error::{StoreError, StoreErrorKind};
use super::stores::{ObjectStores, ObjectVersion, WriteCondition};
use crate::model::ObjectAddress;

/// Bytes of a part, and the most that are sent by one request.
const PART: u64 = 8 << 20;
/// Parts that a store takes; S3 takes 10,000.
const MOST_PARTS: u64 = 9_000;
/// Parts that are sent at a time: memory holds as many.
const AT_A_TIME: usize = 2;

/// What a transfer asks and tells while it goes on.
pub(crate) struct TransferHooks<'a> {
    /// Gets the name of an upload in parts before the first part is sent, so that it can be given up after a kill.
    pub(crate) opened: &'a dyn Fn(&str) -> Result<(), StoreError>,
    /// Whether the transfer is no longer wanted.
    pub(crate) is_stopped: &'a dyn Fn() -> bool,
}

/// Bytes that the store has, and that are not visible yet. Dropped, they are given up.
pub(crate) struct Upload {
    stores: Arc<ObjectStores>,
    address: ObjectAddress,
    content: UploadContent,
    size: u64,
}

enum UploadContent {
    /// Sent when the upload is completed.
    Whole(Bytes),
    Parts {
        id: String,
        parts: Vec<PartId>,
    },
    /// It is the object now, or was given up.
    Done,
}

impl Upload {
    /// Transfers a file.
    ///
    /// # Errors
    /// [`StoreErrorKind::Stopped`] once it is no longer wanted; the store refuses it or does not answer; the file cannot be read.
    pub(crate) fn begin(
        stores: &Arc<ObjectStores>,
        address: &ObjectAddress,
        file: &File,
        hooks: &TransferHooks<'_>,
    ) -> Result<Self, StoreError> {
        let of_file = StoreError::file(address);
        let size = file.metadata().map_err(&of_file)?.len();
        let upload = |content| Self { stores: Arc::clone(stores), address: address.clone(), content, size };
        if size <= PART {
            return Ok(upload(UploadContent::Whole(read(file, 0, size).map_err(of_file)?)));
        }
        let id = stores
            .run(address, |client, path| async move { client.multipart.create_multipart(&path).await })?;
        // From here on it is given up when this is dropped.
        let mut upload = upload(UploadContent::Parts { id: id.clone(), parts: Vec::new() });
        (hooks.opened)(&id)?;
        let sent = upload.send(file, &id, hooks.is_stopped)?;
        upload.content = UploadContent::Parts { id, parts: sent };
        Ok(upload)
    }

    fn send(
        &self,
        file: &File,
        id: &String,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<PartId>, StoreError> {
        let Self { stores, address, size, .. } = self;
        let length = PART.max(size.div_ceil(MOST_PARTS));
        let stopped = || StoreError::new(StoreErrorKind::Stopped, address, "stopped");
        let mut parts = Vec::new();
        let mut first = 0;
        // A stop is looked for between batches: a request that was sent is waited for.
        while first * length < *size {
            if is_stopped() {
                return Err(stopped());
            }
            let batch = first..(first + AT_A_TIME as u64).min(size.div_ceil(length));
            let contents: Result<Vec<(u64, Bytes)>, io::Error> = batch
                .clone()
                .map(|part| {
                    let at = part * length;
                    read(file, at, length.min(size - at)).map(|bytes| (part, bytes))
                })
                .collect();
            let contents = contents.map_err(StoreError::file(address))?;
            let sent: Vec<PartId> = stores.run(address, |client, path| async move {
                let (client, path) = (&client, &path);
                let send = |(part, bytes): (u64, Bytes)| async move {
                    let index = usize::try_from(part).unwrap_or(usize::MAX);
                    client.multipart.put_part(path, id, index, PutPayload::from_bytes(bytes)).await
                };
                stream::iter(contents).map(send).buffered(AT_A_TIME).try_collect().await
            })?;
            parts.extend(sent);
            first = batch.end;
        }
        Ok(parts)
    }

    /// Bytes of the object.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The address of the object.
    pub(crate) fn address(&self) -> &ObjectAddress {
        &self.address
    }

    /// Makes it the object, by one request.
    ///
    /// # Errors
    /// The store refuses it or does not answer: then either object may be there.
    pub(crate) fn complete(&mut self) -> Result<ObjectVersion, StoreError> {
        match std::mem::replace(&mut self.content, UploadContent::Done) {
            UploadContent::Whole(bytes) => self.stores.write(&self.address, bytes, WriteCondition::None),
            UploadContent::Parts { id, parts } => self.stores.run(&self.address, |client, path| async move {
                let put = client.multipart.complete_multipart(&path, &id, parts).await?;
                Ok(ObjectVersion(put.into()))
            }),
            UploadContent::Done => {
                Err(StoreError::new(StoreErrorKind::Unsupported, &self.address, "it was completed already"))
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let UploadContent::Parts { id, .. } = &self.content {
            let _ = self.stores.give_up(&self.address, id);
        }
    }
}

impl ObjectStores {
    /// Gives up an upload in parts that was not completed. The store may keep its parts if this fails.
    ///
    /// # Errors
    /// The store does not know it, or does not answer.
    pub(crate) fn give_up(&self, address: &ObjectAddress, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.run(address, |client, path| async move { client.multipart.abort_multipart(&path, &id).await })
    }
}

fn read(file: &File, at: u64, length: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes.into())
}
