//! What the parts of the main path cost, each alone: the checker and compactor beside what it replaces, the opening of
//! an input, rows, the planner, the template, the journal's append.
//!
//! `cargo bench --bench micro [FILTER]`; `cargo bench --bench micro -- --test` runs everything once.
//!
//! The template has no measurement of its own: the planner renders it. A repeat is planned without it, so that what
//! a job costs above a repeat is the template and the place that the planner keeps.

use std::cell::Cell;
use std::sync::Arc;
use std::time::SystemTime;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use skufetch::testing::collect::{self, Collector, JobIdentity, OutputSettings, Provenance, Target};
use skufetch::testing::input::{Columns, CsvFormat, InputSettings, Row, Rows};
use skufetch::testing::model::{Answer, Content, Entry, Fingerprint, Key, Outcome, Seq, Validators};
use skufetch::testing::plan::{Planned, Planner, RequestSettings, RequestTemplate};

fn main() {
    divan::main();
}

/// Bytes of an answer to what is kept of it.
mod body {
    use super::{Bencher, BytesCount, document, json};

    const DOCUMENTS: [&str; 6] = json::NAMES;

    /// Checks and compacts, as every answer is.
    #[divan::bench(args = DOCUMENTS, min_time = 0.1)]
    fn compact(bencher: Bencher<'_, '_>, name: &str) {
        let (document, mut out) = document(name);
        bencher.counter(BytesCount::of_slice(&document)).bench_local(|| {
            out.clear();
            skufetch::testing::json::compact(divan::black_box(&document), &mut out)
                .expect("the document is good");
        });
    }

    /// What it replaces, which checks less and compacts nothing: `serde_json`'s `&RawValue`, and a copy.
    #[divan::bench(args = DOCUMENTS, min_time = 0.1)]
    fn raw_value(bencher: Bencher<'_, '_>, name: &str) {
        let (document, mut out) = document(name);
        bencher.counter(BytesCount::of_slice(&document)).bench_local(|| {
            out.clear();
            let raw: &serde_json::value::RawValue =
                serde_json::from_slice(divan::black_box(&document)).expect("the document is good");
            out.extend_from_slice(raw.get().as_bytes());
        });
    }
}

/// A document, and a buffer that can take it.
fn document(name: &str) -> (Vec<u8>, Vec<u8>) {
    let document = json::document(name);
    let out = Vec::with_capacity(document.len());
    (document, out)
}

/// From the first bytes of an input to its header: the encoding, what separates the cells and how they are quoted, found
/// from the first rows. A run does it more than once: when it surveys the file, and when it reads it.
#[divan::bench(args = ["one column", "commas", "semicolons, all quoted", "tabs, UTF-16"])]
fn open_input(bencher: Bencher<'_, '_>, form: &str) {
    const ROWS: usize = 6_000;
    let (header, row): (&str, fn(usize) -> String) = match form {
        "one column" => ("sku\n", |row| format!("{row:08}\n")),
        "commas" => ("sku,name,price,shop\n", |row| format!("{row:08},Espresso machine,249.90,berlin\n")),
        "semicolons, all quoted" => {
            ("\"sku\";\"name\";\"price\"\r\n", |row| format!("\"{row:08}\";\"Mühle; groß\";\"249,90\"\r\n"))
        }
        _ => ("sku\tname\tprice\n", |row| format!("{row:08}\tMühle\t249,90\n")),
    };
    let text = (0..ROWS).fold(header.to_owned(), |text, number| text + &row(number));
    let bytes: Arc<[u8]> = match form {
        "tabs, UTF-16" => {
            std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
        }
        _ => text.into_bytes().into(),
    };
    bencher.bench_local(|| {
        let reader = Box::new(std::io::Cursor::new(Arc::clone(&bytes)));
        Rows::from_reader(reader, "rows", &InputSettings::default()).expect("a header")
    });
}

/// CSV to rows, 10,000 at a time.
#[divan::bench(args = [1, 4])]
fn rows(bencher: Bencher<'_, '_>, columns: usize) {
    const ROWS: usize = 10_000;
    let header = (1..columns).fold("sku".to_owned(), |header, column| format!("{header},c{column}"));
    let more = ",some cell".repeat(columns - 1);
    let csv: Arc<[u8]> =
        (0..ROWS).fold(header, |csv, row| format!("{csv}\n{row:08}{more}")).into_bytes().into();
    bencher.counter(ItemsCount::new(ROWS)).counter(BytesCount::of_slice(&*csv)).bench_local(|| {
        let reader = Box::new(std::io::Cursor::new(Arc::clone(&csv)));
        let mut rows = Rows::from_reader(reader, "rows", &InputSettings::default()).expect("a header");
        while let Some(row) = rows.next_row().expect("good CSV") {
            divan::black_box(row);
        }
    });
}

/// Rows to jobs.
mod plan {
    use super::{Bencher, Cell, Planned, Planner, RequestSettings, job, planner, row};

    /// One column in the path.
    #[divan::bench]
    fn job_url(bencher: Bencher<'_, '_>) {
        jobs(bencher, planner(&url("https://api.example.com/products/{sku}")), "blue");
    }

    /// Three columns, one of which is mostly percent signs when encoded.
    #[divan::bench]
    fn job_url_encoded(bencher: Bencher<'_, '_>) {
        let template = "https://api.example.com/{lang}/products/{sku}?colour={colour}";
        jobs(bencher, planner(&url(template)), "größer & größer / blau");
    }

    /// A header and a body by row.
    #[divan::bench]
    fn job_header_and_body(bencher: Bencher<'_, '_>) {
        let settings = RequestSettings {
            headers: vec!["Accept-Language: {lang}".into()],
            body: Some(r#"{"query":{"sku":"{sku}","colour":"{colour}"}}"#.into()),
            ..url("https://api.example.com/products/{sku}")
        };
        jobs(bencher, planner(&settings), "blue");
    }

    /// A key that has its job: parsed, hashed and found, and no template.
    #[divan::bench]
    fn repeat(bencher: Bencher<'_, '_>) {
        let mut planner = planner(&url("https://api.example.com/products/{sku}"));
        job(planner.plan(row(7, "blue")));
        bencher.with_inputs(|| row(7, "blue")).bench_local_values(|row| {
            let repeat = planner.plan(row);
            debug_assert!(matches!(repeat, Planned::Repeat { .. }));
            repeat
        });
    }

    /// Each row has a key of its own, as one that comes again is no job.
    fn jobs(bencher: Bencher<'_, '_>, mut planner: Planner, colour: &str) {
        let next = Cell::new(0);
        bencher
            .with_inputs(|| {
                next.set(next.get() + 1);
                row(next.get(), colour)
            })
            .bench_local_values(|row| job(planner.plan(row)));
    }

    fn url(template: &str) -> RequestSettings {
        RequestSettings { url: template.into(), ..RequestSettings::default() }
    }
}

fn planner(settings: &RequestSettings) -> Planner {
    let names = ["sku", "lang", "colour"].map(String::from).into();
    let columns = Columns { names, key: 0, format: CsvFormat::default(), headers: true };
    let template = Arc::new(RequestTemplate::parse(settings, &|_| None).expect("good templates"));
    Planner::new(template.bind(&columns).expect("good columns"), [7; 16])
}

fn row(number: u32, colour: &str) -> Row {
    let record = csv::ByteRecord::from(vec![format!("{number:08}").as_str(), "de", colour]);
    let line = u64::from(number) + 1;
    Row { seq: Seq(number), line, record, is_padded: false, damage: None, quoting_doubt: None }
}

fn job(planned: Planned) -> skufetch::testing::model::Job {
    match planned {
        Planned::Job(job) => job,
        other => panic!("{other:?}"),
    }
}

/// Appends, while the writer's thread writes to a real file. A sample stays under what may wait for the disk,
/// and the run under 20 MB.
#[divan::bench(args = [20, 1200], sample_count = 100, sample_size = 128)]
fn journal_append(bencher: Bencher<'_, '_>, body: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let target = Target::File(folder.path().join("out.json"));
    let settings = OutputSettings { target, ..OutputSettings::default() };
    let place = collect::preflight(&settings).expect("a place to write to");
    let identity = JobIdentity {
        digest_input: b"micro".into(),
        description: serde_json::json!({}),
        provenance: Provenance::default(),
    };
    let (mut journal, _) = Collector::open(&settings, &place, &identity, None).expect("a journal");
    let next = Cell::new(0);
    bencher
        .with_inputs(|| {
            next.set(next.get() + 1);
            entry(next.get(), body)
        })
        .bench_local_refs(|entry| journal.append(entry).expect("a disk"));
    journal.close().expect("a disk");
}

fn entry(number: u32, body: usize) -> Entry {
    let key = format!("{number:08}");
    let content = format!("{{\"text\":\"{}\"}}", "x".repeat(body.saturating_sub(11)));
    let answer = Answer {
        status: 200,
        at: SystemTime::UNIX_EPOCH,
        content: Content::Json(content.into()),
        validators: Validators { etag: Some("\"33a64df551425fcc\"".into()), last_modified: None },
        raw: None,
        error: None,
    };
    Entry {
        seq: Seq(number),
        line: u64::from(number) + 1,
        key: Key::parse(key.as_bytes()).expect("a key"),
        fingerprint: Fingerprint(u128::from(number) << 64 | 0x9e37_79b9),
        attempts: 1,
        sent: None,
        outcome: Outcome::Fetched(answer),
        record: csv::ByteRecord::from(vec![key.as_str()]),
        address: None,
        request: None,
        is_companion: false,
    }
}

/// Documents as catalogue APIs answer them, and two that stress one thing each.
mod json {
    /// What there is.
    pub(super) const NAMES: [&str; 6] = [
        "1.2 KB, compact",
        "1.2 KB, pretty",
        "100 KB, compact",
        "100 KB, pretty",
        "100 KB, one long string",
        "100 KB, not ASCII",
    ];

    /// The document of that name.
    pub(super) fn document(name: &str) -> Vec<u8> {
        let small = product(1);
        let list: serde_json::Value = (0..85).map(product).collect();
        let text = |text: &str, times| serde_json::json!({ "text": text.repeat(times) }).to_string();
        match name {
            "1.2 KB, compact" => small.to_string().into_bytes(),
            "1.2 KB, pretty" => serde_json::to_vec_pretty(&small).unwrap(),
            "100 KB, compact" => list.to_string().into_bytes(),
            "100 KB, pretty" => serde_json::to_vec_pretty(&list).unwrap(),
            "100 KB, one long string" => {
                text("Nothing here needs an escape, and most of it is plain text. ", 1_700).into_bytes()
            }
            "100 KB, not ASCII" => text("Größe und Gewicht, 重さと大きさ; ", 2_400).into_bytes(),
            _ => unreachable!("{name}"),
        }
    }

    /// A product as catalogue APIs answer it.
    fn product(number: u32) -> serde_json::Value {
        serde_json::json!({
            "sku": format!("SKU-{number:06}"),
            "name": "Espresso machine, 15 bar, stainless steel",
            "description": "Two cups at once, a steam wand for milk, and a tank of 1.8 litres that comes off \
                for filling.\nCleans itself; the \"descale\" light says when.",
            "price": { "amount": "249.90", "currency": "EUR", "tax": 0.19, "cents": 24990 + number },
            "stock": [
                { "warehouse": "FRA", "quantity": 112, "reserved": 7, "updated": "2026-01-17T03:12:44Z" },
                { "warehouse": "WAW", "quantity": 0, "reserved": 0, "updated": "2026-01-16T22:40:01Z" }
            ],
            "categories": ["kitchen", "coffee", "machines"],
            "attributes": { "colour": "silver", "weight_kg": 4.35, "width_mm": 272, "height_mm": 315, "watts": 1350 },
            "images": [
                "https://img.example.com/p/000001/front.jpg",
                "https://img.example.com/p/000001/side.jpg",
                "https://img.example.com/p/000001/detail.jpg"
            ],
            "rating": { "average": 4.6, "count": 1893, "histogram": [1204, 481, 120, 51, 37] },
            "active": true, "discontinued": false, "successor": null, "ean": "4006381333931"
        })
    }
}
