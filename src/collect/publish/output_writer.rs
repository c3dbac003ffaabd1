//! The lines of the output file, in either format and shape.
//!
//! What the journal holds was checked and compacted when it came; here it is only copied. Commas are at line ends, so a
//! line is ended when the next one begins or the file ends.

use std::io::{self, Write};
use std::sync::Arc;

use crate::collect::files::compression::CompressedWriter;
use crate::collect::files::cursor::NULL;
use crate::collect::files::stamp::{Stamp, StampWriter};
use crate::collect::journal::decode::{FailedRecord, FetchedRecord};
use crate::collect::previous::profile::{BodyCounter, MeasuredOutput, Profiler};
use crate::collect::settings::{Format, OutputSettings, Shape, StoredForm};
use crate::collect::table::layout::TableLayout;

/// Handed to the file at a time.
const CHUNK: usize = 64 * 1024;
/// A part of this size goes to the file by itself: a call of the system costs less than to copy it.
const LARGE: usize = CHUNK / 2;

/// Writes an output, and takes its stamp and its profile.
pub(crate) struct OutputWriter<W: Write> {
    out: CompressedWriter<StampWriter<W>>,
    format: Format,
    shape: Shape,
    buffer: Vec<u8>,
    lines: u64,
    profiler: Profiler,
    table: Option<Arc<TableLayout>>,
}

impl<W: Write> OutputWriter<W> {
    /// # Errors
    /// There is no memory for an encoder.
    pub(crate) fn new(out: W, settings: &OutputSettings) -> io::Result<Self> {
        let OutputSettings { format, shape, compression, .. } = *settings;
        let out = CompressedWriter::new(StampWriter::new(out), compression)?;
        let mut buffer = Vec::with_capacity(2 * CHUNK);
        let mut table = None;
        match settings.form() {
            StoredForm::Json => buffer.push(b'{'),
            StoredForm::Jsonl => {}
            StoredForm::Csv(layout) => {
                layout.push_header(&mut buffer);
                table = Some(Arc::clone(layout));
            }
        }
        Ok(Self { out, format, shape, buffer, lines: 0, profiler: Profiler::default(), table })
    }

    /// What it is written to. The last lines may not have gone there yet.
    pub(crate) fn target(&self) -> &W {
        self.out.target().target()
    }

    /// How it is laid out.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Bytes that were written, compressed where the output is.
    pub(crate) fn bytes(&self) -> u64 {
        self.out.target().bytes()
    }

    /// The shape that it was made for.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Counts a SKU of this run, whose answer is stored as `body`.
    pub(crate) fn count(&mut self, record: &FetchedRecord<'_>, body: &[u8]) {
        self.profiler.body(body);
        match record.raw {
            Some(raw) => self.profiler.raw(BodyCounter::at(raw)),
            None if record.body == NULL && !record.status.starts_with(b"2") => {
                self.profiler.null_for_status();
            }
            // The cells of a table are selected, too.
            None if self.table.is_some() => self.profiler.raw(BodyCounter::of(record.body)),
            None => {}
        }
    }

    /// Counts a SKU of the old output, with its body; the record of a failure has none.
    pub(crate) fn count_old(&mut self, body: Option<&[u8]>) {
        if let Some(body) = body {
            self.profiler.body(body);
        }
    }

    /// A row of a table, whose SKU is counted apart: it may have several rows.
    pub(crate) fn row<'c>(&mut self, cells: impl IntoIterator<Item = &'c [u8]>) -> io::Result<()> {
        let Some(layout) = &self.table else { return Ok(()) };
        layout.push_row(&mut self.buffer, cells);
        self.lines += 1;
        self.end_line()
    }

    /// The line of an answer, in the formats that have one for each SKU.
    pub(crate) fn fetched(&mut self, record: &FetchedRecord<'_>) -> io::Result<()> {
        self.count(record, record.body);
        self.begin_line();
        match (self.format, self.shape) {
            (Format::Json, Shape::Body) => self.put_large(record.member)?,
            (_, Shape::Body) => {
                self.put(&[b"{\"key\":", record.key, b",\"body\":"]);
                self.put_large(record.body)?;
                self.put(&[b"}"]);
            }
            (_, Shape::Record) => {
                self.begin_record(record.key);
                self.put(&[b"\"status\":", record.status, b",\"fetched_at\":", record.at]);
                self.put(&[b",\"attempts\":", record.attempts, b",\"body\":"]);
                self.put_large(record.body)?;
                self.put(&[b"}"]);
            }
        }
        self.end_line()
    }

    /// The line of a failure, which only records have, in the same formats.
    pub(crate) fn failed(&mut self, key: &[u8], record: &FailedRecord<'_>) -> io::Result<()> {
        self.begin_line();
        self.begin_record(key);
        self.put(&[b"\"status\":", record.status, b",\"fetched_at\":", record.at]);
        self.put(&[b",\"attempts\":", record.attempts, b",\"error\":", record.error, b"}"]);
        self.end_line()
    }

    /// A line of the old output, and the body in it; the record of a failure has none.
    pub(crate) fn old(&mut self, line: &[u8], body: Option<&[u8]>) -> io::Result<()> {
        self.count_old(body);
        self.begin_line();
        self.put(&[line]);
        self.end_line()
    }

    fn begin_line(&mut self) {
        if self.format == Format::Json {
            let separator: &[u8] = if self.lines == 0 { b"\n" } else { b",\n" };
            self.buffer.extend_from_slice(separator);
        }
        self.lines += 1;
    }

    fn begin_record(&mut self, key: &[u8]) {
        match self.format {
            Format::Json => self.put(&[key, b":{"]),
            Format::Jsonl | Format::Csv => self.put(&[b"{\"key\":", key, b","]),
        }
    }

    fn put(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
    }

    /// Puts a part that may be large: it is not copied if it is.
    fn put_large(&mut self, part: &[u8]) -> io::Result<()> {
        if part.len() < LARGE {
            self.put(&[part]);
            return Ok(());
        }
        self.pass_on()?;
        self.out.write_all(part)
    }

    fn end_line(&mut self) -> io::Result<()> {
        if self.format == Format::Jsonl {
            self.buffer.push(b'\n');
        }
        if self.buffer.len() >= CHUNK { self.pass_on() } else { Ok(()) }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> io::Result<WrittenOutput<W>> {
        if self.format == Format::Json {
            self.buffer.extend_from_slice(b"\n}\n");
        }
        self.pass_on()?;
        let mut out = self.out.finish()?;
        out.flush()?;
        let (stamp, measured) = (out.stamp(), self.profiler.finish());
        Ok(WrittenOutput { stamp, lines: self.lines, measured, target: out.into_inner() })
    }
}

/// A complete output.
pub(crate) struct WrittenOutput<W> {
    pub(crate) stamp: Stamp,
    /// Lines of SKUs, those of failed ones among them.
    pub(crate) lines: u64,
    pub(crate) measured: MeasuredOutput,
    /// What it was written to.
    pub(crate) target: W,
}
