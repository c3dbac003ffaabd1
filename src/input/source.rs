//! Opens an input, decompresses and decodes it, and allows a look ahead at its first bytes.
//!
//! Looking ahead reads no more from a pipe than is needed to decide: the first rows of a slow producer must
//! not wait for a full buffer.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::input::error::{Changed, InputError};
use crate::input::location::{InputLocation, Packing};
use crate::input::object_input::ObjectInput;
use crate::input::positioned_reader::{self, PositionedReader};
use crate::input::settings::InputPath;
use crate::input::text_encoding::{DecodingReader, TextEncoding};

/// Bytes per read: the size of a pipe, and of the buffer of the csv crate here.
pub(super) const CHUNK: usize = 64 << 10;

/// Nanoseconds that the next row is waited for before the first ones decide how to read them.
const SOON: i64 = 100_000_000;
/// Rows that come one by one, each soon after the one before, are waited for no longer than this.
const GATHERED_WITHIN: Duration = Duration::from_millis(500);

/// Opens a file.
pub(super) fn open_file(path: &Path) -> Result<File, InputError> {
    let at = InputLocation::of(&InputPath::File(path.into()));
    if path.is_dir() {
        return Err(InputError::NotCsv { at, what: "a folder", remedy: "name the CSV file inside it" });
    }
    File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => InputError::NotFound { at },
        _ => InputError::Unreadable { at, source },
    })
}

/// The copy of an object.
pub(super) fn copy_of(object: &ObjectInput) -> Result<Arc<File>, InputError> {
    object.copy().map(Arc::clone).ok_or_else(|| InputError::Unreadable {
        at: InputLocation::of(&InputPath::Object(object.clone())),
        source: io::Error::other("it was not copied; this is a fault of the program"),
    })
}

/// Says whether a byte will arrive soon.
pub(super) type Arrival = Box<dyn Fn() -> bool + Send>;

/// The bytes of an input, decompressed, in UTF-8.
pub(super) struct InputSource {
    bytes: Peeked,
    location: InputLocation,
    /// For an input whose bytes may have to be waited for.
    arrival: Option<Arrival>,
}

impl InputSource {
    /// Opens a file or standard input.
    pub(super) fn open(path: &InputPath) -> Result<Self, InputError> {
        let at = InputLocation::of(path);
        match path {
            InputPath::Stdin => match positioned_reader::unread_stdin() {
                Some(file) => Self::new(Box::new(PositionedReader::new(Arc::new(file))), at),
                None => Self::waiting(Box::new(io::stdin()), at, within(|| arrives_soon(&io::stdin()))),
            },
            InputPath::Object(object) => Self::new(Box::new(PositionedReader::new(copy_of(object)?)), at),
            InputPath::File(file) => {
                let file = Arc::new(open_file(file)?);
                if file.metadata().is_ok_and(|found| found.is_file()) {
                    return Self::new(Box::new(file), at);
                }
                let watched = Arc::clone(&file);
                Self::waiting(Box::new(file), at, within(move || arrives_soon(&*watched)))
            }
        }
    }

    /// Reads from a reader that may block.
    pub(super) fn waiting(
        reader: Box<dyn Read + Send>,
        location: InputLocation,
        arrival: Arrival,
    ) -> Result<Self, InputError> {
        Ok(Self { arrival: Some(arrival), ..Self::new(reader, location)? })
    }

    /// Reads from any reader.
    pub(super) fn new(reader: Box<dyn Read + Send>, location: InputLocation) -> Result<Self, InputError> {
        let mut source = Self { bytes: Peeked::new(reader), location, arrival: None };
        match source.signature(KINDS)? {
            None => return Ok(source),
            Some(FileKind::Foreign(what, remedy)) => {
                return Err(InputError::NotCsv { at: source.location, what, remedy });
            }
            Some(FileKind::Packed(packing)) => source.location.packing = Some(packing),
        }
        source.bytes =
            source.bytes.unpack(source.location.packing).map_err(|error| source.location.fault(error))?;
        match source.signature(KINDS)? {
            None => Ok(source),
            Some(FileKind::Packed(_)) => Err(InputError::NotCsv {
                at: source.location,
                what: "packed twice",
                remedy: "unpack it once",
            }),
            Some(FileKind::Foreign(what, remedy)) => {
                Err(InputError::NotCsv { at: source.location, what, remedy })
            }
        }
    }

    /// Which input this is.
    pub(super) fn location(&self) -> &InputLocation {
        &self.location
    }

    /// The bytes that were looked at and are not consumed yet.
    pub(super) fn seen(&self) -> &[u8] {
        self.bytes.seen()
    }

    /// Looks further ahead; false at the end.
    pub(super) fn see_more(&mut self) -> Result<bool, InputError> {
        self.bytes.see_more().map_err(|error| self.location.fault(error))
    }

    /// Whether looking further ahead may have to wait.
    pub(super) fn would_wait(&self) -> bool {
        self.arrival.as_ref().is_some_and(|arrives| !arrives())
    }

    /// From here on, the bytes are decoded.
    pub(super) fn decode(self, encoding: TextEncoding) -> Self {
        Self { bytes: Peeked::new(Box::new(DecodingReader::new(self.bytes, encoding))), ..self }
    }

    /// Looks further ahead; false at the end, and where it fails: then the reading fails there.
    pub(super) fn look_ahead(&mut self) -> bool {
        match self.bytes.see_more() {
            Ok(more) => more,
            Err(error) => {
                self.bytes.failure = Some(error);
                false
            }
        }
    }

    /// Whether looking ahead has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.bytes.failure.is_some()
    }

    /// Consumes bytes that were looked at.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.bytes.at += bytes;
    }

    /// The meaning of the longest signature that the bytes begin with.
    pub(super) fn signature<T: Copy>(&mut self, table: &[(&[u16], T)]) -> Result<Option<T>, InputError> {
        let begins = |signature: &[u16], seen: &[u8]| {
            signature.iter().zip(seen).all(|(&want, &byte)| want == ANY || want == u16::from(byte))
        };
        let undecided = |seen: &[u8]| table.iter().any(|(s, _)| s.len() > seen.len() && begins(s, seen));
        while undecided(self.seen()) && self.see_more()? {}
        let seen = self.seen();
        let whole = table.iter().filter(|(s, _)| s.len() <= seen.len() && begins(s, seen));
        Ok(whole.max_by_key(|(s, _)| s.len()).map(|&(_, meaning)| meaning))
    }
}

/// The same until [`GATHERED_WITHIN`] is over, from the first call on; then what there is has to do.
fn within(arrives: impl Fn() -> bool + Send + 'static) -> Arrival {
    let since = OnceLock::new();
    Box::new(move || {
        #[expect(clippy::disallowed_methods, reason = "a thread of its own, which waits in real time")]
        let now = Instant::now();
        now.duration_since(*since.get_or_init(|| now)) < GATHERED_WITHIN && arrives()
    })
}

/// Whether a byte arrives within [`SOON`], or the end is reached.
fn arrives_soon(input: &impl AsFd) -> bool {
    let soon = Timespec { tv_sec: 0, tv_nsec: SOON };
    poll(&mut [PollFd::new(input, PollFlags::IN)], Some(&soon)).is_ok_and(|ready| ready > 0)
}

impl Read for InputSource {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(out)
    }
}

impl InputLocation {
    /// Makes an error of a failed read. Errors of the system have a number, those of a decoder have none.
    pub(super) fn fault(&self, error: io::Error) -> InputError {
        let at = self.clone();
        if let Some(&Changed { before, now }) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            return InputError::Changed { at, before, now };
        }
        match self.packing {
            Some(packing) if error.raw_os_error().is_none() => {
                let how = match error.kind() {
                    io::ErrorKind::UnexpectedEof => "cut short".into(),
                    _ => format!("damaged: {error}").into(),
                };
                InputError::Packing { at, packing, how }
            }
            _ => InputError::Unreadable { at, source: error },
        }
    }
}

/// Any byte, in a signature.
const ANY: u16 = 256;

#[derive(Clone, Copy)]
enum FileKind {
    Packed(Packing),
    Foreign(&'static str, &'static str),
}

/// The first bytes of file formats, by their specifications. The second one of zstd is a skippable frame,
/// which `pzstd` begins with.
const KINDS: &[(&[u16], FileKind)] = &[
    (&[0x1f, 0x8b], FileKind::Packed(Packing::Gzip)),
    (&[0x28, 0xb5, 0x2f, 0xfd], FileKind::Packed(Packing::Zstd)),
    (&[ANY, 0x2a, 0x4d, 0x18], FileKind::Packed(Packing::Zstd)),
    (
        &[0xd0, 0xcf, 0x11, 0xe0],
        FileKind::Foreign("an old Excel workbook", "in Excel, save it as \"CSV UTF-8\""),
    ),
    (
        &[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
        FileKind::Foreign("xz data", "unpack it on the way: xz -dc FILE | skufetch - …"),
    ),
    (
        &[0x42, 0x5a, 0x68, ANY, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59],
        FileKind::Foreign("bzip2 data", "unpack it on the way: bzip2 -dc FILE | skufetch - …"),
    ),
];

/// A reader whose next bytes can be looked at before they are consumed.
struct Peeked {
    inner: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
    /// Why the last look ahead failed.
    failure: Option<io::Error>,
}

impl Peeked {
    fn new(inner: Box<dyn Read + Send>) -> Self {
        Self { inner, buffer: Vec::new(), at: 0, ended: false, failure: None }
    }

    fn unpack(self, packing: Option<Packing>) -> io::Result<Self> {
        Ok(Self::new(match packing {
            None => Box::new(self),
            Some(Packing::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(self)),
            // The default of the decoder rejects windows over 128 MiB, as the zstd command does.
            Some(Packing::Zstd) => Box::new(zstd::stream::read::Decoder::new(self)?),
        }))
    }

    fn seen(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    fn see_more(&mut self) -> io::Result<bool> {
        let len = self.buffer.len();
        self.buffer.resize(len + CHUNK, 0);
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read_inner(&mut buffer[len..]);
        buffer.truncate(len + result.as_ref().map_or(0, |&n| n));
        self.buffer = buffer;
        result.map(|n| n > 0)
    }

    /// Reads no further after the end: a terminal would start a new input.
    fn read_inner(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.ended {
            return Ok(0);
        }
        loop {
            match self.inner.read(out) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    self.ended = matches!(result, Ok(0));
                    return result;
                }
            }
        }
    }
}

impl Read for Peeked {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.at == self.buffer.len() {
            self.buffer = Vec::new();
            self.at = 0;
            return self.read_inner(out);
        }
        let n = self.seen().read(out)?;
        self.at += n;
        Ok(n)
    }
}
