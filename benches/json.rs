//! Throughput of the checker and compactor against what it replaces: `serde_json`'s `&RawValue` and a
//! copy of its bytes. Figures are of one run; the ratio is what holds from machine to machine.
//!
//! `cargo bench --bench json`

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use skufetch::json::compact;

/// Each way is measured this many times, in turns; the best counts, as noise only ever adds.
const ROUNDS: usize = 7;
/// How long one measurement lasts.
const SPAN: Duration = Duration::from_millis(120);

fn main() {
    println!("{:<28} {:>9} {:>12} {:>12} {:>7}", "document", "bytes", "ours MB/s", "serde MB/s", "ratio");
    for (name, document) in documents() {
        let (mut ours, mut theirs) = (0.0_f64, 0.0_f64);
        for _ in 0..ROUNDS {
            ours = ours.max(throughput(&document, |input, out| compact(input, out).is_ok()));
            theirs = theirs.max(throughput(&document, |input, out| {
                let raw = serde_json::from_slice::<&RawValue>(input);
                raw.is_ok_and(|raw| {
                    out.extend_from_slice(raw.get().as_bytes());
                    true
                })
            }));
        }
        println!("{name:<28} {:>9} {ours:>12.0} {theirs:>12.0} {:>7.2}", document.len(), ours / theirs);
    }
}

/// Megabytes of input a second.
fn throughput(document: &[u8], keep: impl Fn(&[u8], &mut Vec<u8>) -> bool) -> f64 {
    let mut out = Vec::with_capacity(document.len());
    let started = Instant::now();
    let mut bytes = 0;
    while started.elapsed() < SPAN {
        for _ in 0..16 {
            out.clear();
            assert!(keep(black_box(document), &mut out), "the document is good");
            black_box(&out);
            bytes += document.len();
        }
    }
    bytes as f64 / 1e6 / started.elapsed().as_secs_f64()
}

fn documents() -> Vec<(&'static str, Vec<u8>)> {
    let small = product(1);
    let list: serde_json::Value = (0..85).map(product).collect();
    let prose = serde_json::json!({ "text": "Nothing here needs an escape, and most of it is plain text. ".repeat(1_700) });
    let foreign = serde_json::json!({ "text": "Größe und Gewicht, 重さと大きさ; ".repeat(2_400) });
    vec![
        ("1.2 KB, compact", small.to_string().into_bytes()),
        ("1.2 KB, pretty", serde_json::to_vec_pretty(&small).unwrap()),
        ("100 KB, compact", list.to_string().into_bytes()),
        ("100 KB, pretty", serde_json::to_vec_pretty(&list).unwrap()),
        ("100 KB, one long string", prose.to_string().into_bytes()),
        ("100 KB, not ASCII", foreign.to_string().into_bytes()),
    ]
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
