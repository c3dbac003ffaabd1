//! Damaged input. What damages the whole file ends the run with its line before the first request; what
//! damages a row fails that row, with its line, and no other.

use std::fmt::Write;

use crate::input::{fixture, keys};
use crate::support::{Ended, Run, ScriptedServer, WorkDir};

/// Runs over a file that is damaged as a whole: 65, no request, nothing left behind.
#[track_caller]
fn refused(content: impl AsRef<[u8]>, args: &[&str]) -> String {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("in.csv", content);
    dir.write("out.json", "old");
    let base = ["in.csv", "-o", "out.json", "-u", &server.url("/{sku}")];
    let ended = Run::new(&dir).args(base).args(args).finish().expect_code(65);
    assert_eq!((server.connections(), dir.read("out.json").as_str()), (0, "old"), "{}", ended.stderr);
    assert!(!dir.has("out.json.journal") && !dir.has("out.failed.csv"), "{:?}", dir.names());
    assert!(ended.stderr_after_header().starts_with("error: in.csv"), "{}", ended.stderr);
    assert!(ended.stderr.contains("\n  hint: "), "{}", ended.stderr);
    ended.stderr
}

#[track_caller]
fn says(stderr: &str, parts: &[&str]) {
    for part in parts {
        assert!(stderr.contains(part), "{part:?} is not in {stderr}");
    }
}

/// Runs over a file of which some rows are damaged: they are in the failure file, the others in the output.
#[track_caller]
fn partly(content: impl AsRef<[u8]>, fetched: &[&str], args: &[&str]) -> (Ended, Vec<u8>) {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("in.csv", content);
    let base = ["in.csv", "-o", "out.json", "-v", "--min-success", "0", "-u", &server.url("/{sku}")];
    let ended = Run::new(&dir).args(base).args(args).finish().expect_code(1);
    assert_eq!(keys(&dir.read("out.json")), fetched);
    assert_eq!(server.count(), fetched.len());
    (ended, dir.bytes("out.failed.csv"))
}

#[test]
fn a_quote_that_never_closes_is_named_by_the_line_where_it_opens_and_no_request_leaves() {
    let stderr = refused(fixture("unclosed-quote.csv"), &[]);
    says(&stderr, &["in.csv, line 3: the quote that opens a cell here never closes", "close the quote"]);
    // Also where it is far behind.
    let mut csv = String::from("sku,name\n");
    (0..50_000).for_each(|n| writeln!(csv, "{n},x").unwrap());
    csv += "Q,\"open\n";
    (0..50_000).for_each(|n| writeln!(csv, "{n},x").unwrap());
    says(&refused(&csv, &[]), &["in.csv, line 50002: the quote"]);
}

#[test]
fn rows_after_the_limit_are_not_checked() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("in.csv", fixture("unclosed-quote.csv"));
    let args = ["in.csv", "-o", "out.json", "--limit", "1", "-u", &server.url("/{sku}")];
    Run::new(&dir).args(args).finish().expect_code(0);
    assert_eq!(keys(&dir.read("out.json")), ["Q-1"]);
}

#[test]
fn a_quote_that_the_next_quote_closes_is_named_too_and_loses_no_row_unreported() {
    let csv = "sku,name\nA,x\nB,\"open\nC,x\nD,\"quoted\"\nE,x\n";
    says(&refused(csv, &[]), &["in.csv, line 3: the quote", "runs on into line 5"]);
}

#[test]
fn utf_16_that_leaves_a_doubt_is_refused_with_the_option_that_reads_it() {
    let stderr = refused(fixture("utf16-cyrillic-no-mark.csv"), &[]);
    says(&stderr, &["in.csv: the text is not UTF-8, and seems to be UTF-16LE", "--encoding utf-16le"]);
}

#[test]
fn a_header_or_rows_in_latin1_are_refused_with_the_option_that_reads_them() {
    let stderr = refused(b"sku,gr\xf6sse\nA,1\n", &[]);
    says(&stderr, &["in.csv, line 1: the text is not UTF-8", "--encoding windows-1252   reads `grösse`"]);
    let stderr = refused(fixture("latin1.csv"), &[]);
    says(
        &stderr,
        &["in.csv, line 3: the text is not UTF-8 in 2 of 4 rows", "--encoding windows-1252   reads `Café`"],
    );
}

/// As [`fixture`] has it, among so many other rows that it is damage of single rows.
fn some_latin1() -> Vec<u8> {
    let mut csv = fixture("latin1.csv");
    (0..100).for_each(|_| csv.extend_from_slice(b"L-1,again\n"));
    csv
}

#[test]
fn latin1_in_a_few_rows_fails_those_rows_with_their_lines() {
    let (ended, failed) = partly(some_latin1(), &["L-1", "L-3"], &[]);
    says(&ended.stderr, &["line 3, SKU L-2: ", "line 5", "is not valid UTF-8", "2 bad rows"]);
    // The row keeps its bytes.
    assert!(memchr::memmem::find(&failed, b"\nL-2,Caf\xe9,").is_some(), "{failed:?}");
}

#[test]
fn ragged_rows_fail_with_their_lines_and_the_others_are_fetched() {
    let (ended, failed) = partly(fixture("ragged.csv"), &["R-1", "R-5"], &[]);
    says(&ended.stderr, &["line 3: the row is damaged: 2 fields where the header has 3"]);
    says(&ended.stderr, &["line 4: the row is damaged: 4 fields where the header has 3", "1 blank line"]);
    let failed = String::from_utf8(failed).unwrap();
    says(&failed, &["\nR-2,too few,", "\nR-3,one,too,many,"]);
    let (ended, _) = partly("sku,name\nA\nB,x\n", &["B"], &[]);
    says(&ended.stderr, &["1 field where the header has 2"]);
}

#[test]
fn a_failure_file_with_damaged_rows_gives_the_same_file_again() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    for (name, content) in [
        ("ragged.csv", fixture("ragged.csv")),
        ("latin1.csv", some_latin1()),
        ("nul.csv", fixture("nul.csv")),
        ("refused.csv", fixture("refused.csv")),
    ] {
        dir.write("in.csv", content);
        let url = server.url("/{sku}");
        let run = |input: &str| {
            let args = [input, "-o", "out.json", "--merge", "--min-success", "0", "-u", &url];
            Run::new(&dir).args(args).finish().expect_code(1);
            dir.bytes("out.failed.csv")
        };
        let first = run("in.csv");
        assert_eq!(
            String::from_utf8_lossy(&run("out.failed.csv")),
            String::from_utf8_lossy(&first),
            "{name}"
        );
        std::fs::remove_file(dir.path("out.failed.csv")).unwrap();
    }
}

#[test]
fn a_nul_in_a_key_fails_that_row_and_one_elsewhere_is_harmless() {
    let (ended, _) = partly(fixture("nul.csv"), &["N-1"], &[]);
    says(&ended.stderr, &["line 3", "control character (U+0000)"]);
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("in.csv", b"sku,name\nA,x\0y\n");
    Run::new(&dir).args(["in.csv", "-o", "out.json", "-u", &server.url("/{sku}")]).finish().expect_code(0);
}

#[test]
fn skus_that_may_not_be_requested_fail_with_their_lines_and_without_a_request() {
    let good = "Y".repeat(256);
    let (ended, failed) = partly(fixture("refused.csv"), &[&good, "OK-1"], &[]);
    says(
        &ended.stderr,
        &["line 2: ", "line 3, SKU .: ", "line 4, SKU ..: ", "line 5", "line 6", "6 bad rows"],
    );
    says(&ended.stderr, &["is empty", "path segment `.` or `..`", "(U+0009)", "(U+000A)"]);
    assert_eq!(csv::Reader::from_reader(failed.as_slice()).into_byte_records().count(), 6);
}

#[test]
fn only_a_header_or_nothing_at_all_is_an_error_that_says_which() {
    says(
        &refused(fixture("only-header.csv"), &[]),
        &["in.csv: there is no data row", "was the export finished?"],
    );
    says(&refused("sku,name\n\n\r\n\n", &[]), &["there is no data row"]);
    for nothing in [&fixture("empty.csv")[..], b"\n\n", b"\xef\xbb\xbf", b"sep=;\r\n"] {
        says(&refused(nothing, &[]), &["in.csv: there is no header: the input is empty"]);
    }
    says(&refused("", &["--no-headers"]), &["in.csv: there is no data row"]);
}

#[test]
fn a_file_of_failed_rows_alone_is_no_file_without_rows() {
    let (ended, _) = partly("sku\n..\n", &[], &[]);
    says(&ended.stderr, &["0 SKUs (1 row) in ", "0 fetched, 1 failed (1 bad row)"]);
}

#[test]
fn a_column_that_occurs_twice_matters_only_where_it_is_used() {
    let stderr = refused(fixture("same-column-twice.csv"), &[]);
    says(&stderr, &["in.csv, line 1: several columns could be the key: `sku` (column 1), `sku` (column 3)"]);
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("in.csv", "sku,x,x\nA,1,2\n");
    let run = |url: &str| Run::new(&dir).args(["in.csv", "-o", "out.json", "-u", &server.url(url)]).finish();
    let ended = run("/{sku}?x={x}").expect_code(65);
    says(&ended.stderr, &["the column `x`, which is in the header twice"]);
    assert_eq!(server.count(), 0);
    run("/{sku}").expect_code(0);
}

#[test]
fn other_files_than_csv_are_called_by_their_names() {
    for (content, what) in [
        (&b"PK\x03\x04rest"[..], "an Excel workbook or another ZIP archive, not a CSV file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook"),
        (b"\xfd7zXZ\0\0", "xz data"),
        (b"BZh91AY&SY", "bzip2 data"),
    ] {
        says(&refused(content, &[]), &[what]);
    }
}

#[test]
fn compressed_data_that_is_cut_or_damaged_ends_the_run_before_the_first_request() {
    for (name, kind) in [("quoted.csv.gz", "gzip"), ("quoted.csv.zst", "zstd")] {
        let whole = fixture(name);
        says(&refused(&whole[..whole.len() - 9], &[]), &[&format!("the {kind} data is cut short")]);
        let mut damaged = whole.clone();
        let middle = whole.len() / 2;
        damaged[middle..middle + 8].fill(0x55);
        says(&refused(&damaged, &[]), &[&format!("the {kind} data is ")]);
    }
    let mut twice = fixture("quoted-two-members.csv.gz");
    twice.truncate(twice.len() - 4);
    says(&refused(&twice, &[]), &["the gzip data is cut short"]);
}

/// Before the program starts: 200 MiB on standard input, through a pipe, after this beginning.
fn flood(beginning: &str) -> String {
    format!(
        "mkfifo flood\n\
         (printf '{beginning}'; head -c 209715200 /dev/zero | tr '\\0' x) > flood 2>/dev/null &\n\
         exec < flood"
    )
}

#[test]
fn a_line_of_200_mib_ends_the_run_in_bounded_memory() {
    for beginning in ["", "sku,name\\nA,x\\nB,", "sku,name\\nA,x\\nB,\""] {
        let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
        let run = Run::new(&dir).args(["-", "-o", "out.json", "-u", &server.url("/{sku}")]);
        let ended = run.after_shell(&flood(beginning)).finish().expect_code(65);
        let line = if beginning.is_empty() { 1 } else { 3 };
        let place = format!("standard input, line {line}: the record that begins here is larger than 16 MiB");
        says(&ended.stderr, &[&place, "does "]);
        assert!(
            ended.peak_memory > 0 && ended.peak_memory < 100 << 20,
            "{} bytes resident",
            ended.peak_memory
        );
        assert!(!dir.has("out.json"));
    }
}
