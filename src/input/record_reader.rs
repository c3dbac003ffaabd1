//! Runs the csv crate and the record scanner over the same bytes: records with their spans, and the damage
//! that only the scanner sees.

use std::io::{self, Read};

use csv::ByteRecord;

use crate::input::csv_format::CsvFormat;
use crate::input::dialect::Dialect;
use crate::input::end_mark::EndMarkFilter;
use crate::input::error::InputError;
use crate::input::location::InputLocation;
use crate::input::record_scanner::{RECORD_CAP, RecordScanner, RecordSpan};
use crate::input::source::{CHUNK, InputSource};

/// Reads records, including the header.
pub(super) struct CsvRecordReader {
    csv: csv::Reader<ScanningReader>,
    location: InputLocation,
    blanks: u64,
    ended: bool,
}

impl CsvRecordReader {
    pub(super) fn new(source: InputSource, dialect: &Dialect) -> Self {
        let location = source.location().clone();
        let CsvFormat { delimiter, quoting, .. } = dialect.format;
        let scanner = RecordScanner::new(delimiter, quoting, dialect.line);
        let csv = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .quoting(quoting.quote.is_some())
            .quote(quoting.quote.unwrap_or(b'"'))
            .escape(quoting.escape)
            .buffer_capacity(CHUNK)
            .from_reader(ScanningReader {
                source,
                end_mark: EndMarkFilter::default(),
                scanner,
                failure: None,
                ended_in_a_record: false,
            });
        Self { csv, location, blanks: 0, ended: false }
    }

    /// Which input this is.
    pub(super) fn location(&self) -> &InputLocation {
        &self.location
    }

    /// Empty lines before the record that was read last.
    pub(super) fn blanks(&self) -> u64 {
        self.blanks
    }

    /// Whether the next record needs no further read.
    pub(super) fn has_complete(&self) -> bool {
        self.csv.get_ref().scanner.has_complete()
    }

    /// Whether the input ended in a record without a line end.
    pub(super) fn ended_in_a_record(&self) -> bool {
        self.csv.get_ref().ended_in_a_record
    }

    /// Whether the input ended in a Ctrl-Z.
    pub(super) fn ended_in_a_mark(&self) -> bool {
        self.csv.get_ref().end_mark.was_found()
    }

    /// Reads the next record. `None` at the end, and after an error.
    pub(super) fn read(&mut self, record: &mut ByteRecord) -> Result<Option<RecordSpan>, InputError> {
        if self.ended {
            return Ok(None);
        }
        let result = self.read_on(record);
        self.ended = !matches!(result, Ok(Some(_)));
        result
    }

    fn read_on(&mut self, record: &mut ByteRecord) -> Result<Option<RecordSpan>, InputError> {
        let more = match self.csv.read_byte_record(record) {
            Ok(more) => more,
            Err(error) => return Err(self.failure(error)),
        };
        let scanner = &mut self.csv.get_mut().scanner;
        match (more, scanner.take()) {
            (false, None) => {
                self.blanks += scanner.trailing_blanks();
                Ok(None)
            }
            (true, Some(span)) => {
                self.blanks += span.blanks;
                self.check(span).map(Some)
            }
            _ => {
                let source = io::Error::other("records and lines came apart; this is a fault of the program");
                Err(InputError::Unreadable {
                    at: self.location.line(self.csv.get_ref().scanner.line()),
                    source,
                })
            }
        }
    }

    fn check(&self, span: RecordSpan) -> Result<RecordSpan, InputError> {
        match span.runaway {
            Some((open, close)) => {
                Err(InputError::OpenQuote { at: self.location.line(open), until: Some(close) })
            }
            None if span.len > RECORD_CAP => {
                Err(InputError::RecordTooLarge { at: self.location.line(span.line), quote: None })
            }
            None => Ok(span),
        }
    }

    fn failure(&mut self, error: csv::Error) -> InputError {
        let scan = self.csv.get_mut();
        let at = self.location.line(scan.scanner.line());
        scan.failure.take().unwrap_or_else(|| InputError::Unreadable { at, source: io::Error::other(error) })
    }
}

/// Passes every byte to the scanner on its way to the csv crate.
struct ScanningReader {
    source: InputSource,
    end_mark: EndMarkFilter,
    scanner: RecordScanner,
    /// Why the last read failed: the csv crate passes on an `io::Error` only.
    failure: Option<InputError>,
    /// The input ended in a record without a line end.
    ended_in_a_record: bool,
}

impl ScanningReader {
    fn next(&mut self, out: &mut [u8]) -> Result<usize, InputError> {
        let location = self.source.location();
        let unfinished = self.scanner.unfinished();
        if unfinished.len > RECORD_CAP {
            let quote = self.scanner.open_quote();
            return Err(InputError::RecordTooLarge { at: location.line(unfinished.line), quote });
        }
        match self.end_mark.read(&mut self.source, out) {
            Ok(0) => {
                let location = self.source.location();
                self.ended_in_a_record |= self.scanner.is_in_a_record();
                let open = |line| InputError::OpenQuote { at: location.line(line), until: None };
                self.scanner.finish().map_err(open)?;
                Ok(0)
            }
            Ok(read) => {
                self.scanner.feed(&out[..read]);
                Ok(read)
            }
            Err(error) => Err(self.source.location().line(self.scanner.line()).fault(error)),
        }
    }
}

impl Read for ScanningReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.next(out).map_err(|failure| {
            self.failure = Some(failure);
            io::ErrorKind::Other.into()
        })
    }
}
