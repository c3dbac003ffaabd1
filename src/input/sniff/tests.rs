//! One reading, several, or a doubt: by tables of small files.

use super::*;
use crate::input::csv_format::GivenChar;

fn question(columns: &[String]) -> Question<'_> {
    let asked = AskedColumns { key: None, columns, headers: true };
    Question { delimiter: None, quoting: GivenQuoting::default(), asked }
}

fn read(text: &str) -> Result<(char, Quoting), Doubt> {
    let sample = Sample { bytes: text.as_bytes(), is_whole: true };
    sniff(sample, &question(&[])).map(|found| (char::from(found.delimiter), found.quoting))
}

#[track_caller]
fn reads(text: &str, delimiter: char) {
    assert_eq!(read(text), Ok((delimiter, Quoting::DOUBLED)), "{text}");
}

#[test]
fn the_column_that_is_asked_for_decides() {
    reads("SKU;Preis (EUR, netto, ohne MwSt)\nA1;12,50\nA2;7,00\n", ';');
    reads("SKU|Name, long|Price, EUR, net\nA1|Tea, green|1\n", '|');
    reads("sku,time (hh:mm)\nA,12:30\nB,12:31\n", ',');
    reads("name\tSKU\u{a0}\nx, y\tA\n", '\t');
    reads("sku^name\nA1^x\n", '^');
    reads("sku~name\nA1~x\n", '~');
    reads("sku:name\nA1:x\n", ':');
    reads("sku,url\nA,http://h/1;2\n", ',');
}

#[test]
fn without_such_a_column_the_only_reading_that_counts_is_taken() {
    reads("*Action(SiteID=US|Country=US|Version=1193),ItemID,CustomLabel\nRevise,1,A\nRevise,2,B\n", ',');
    reads("Nr;Preis (EUR, netto, ohne MwSt)\nA1;12,50\n", ';');
    assert!(matches!(read("Nr;Preis, EUR\nA;1,5\nB;2,5\n"), Err(Doubt::Several(two)) if two.len() == 2));
}

#[test]
fn columns_of_the_templates_are_asked_for_too() {
    let columns = ["Preis, EUR".to_owned()];
    let sample = Sample { bytes: b"Nr;Preis, EUR\nA;1,5\n", is_whole: true };
    let asked = AskedColumns { key: Some("nr"), columns: &columns, headers: true };
    let found = sniff(sample, &Question { asked, ..question(&[]) }).unwrap();
    assert_eq!(found.delimiter, b';');
}

#[test]
fn small_and_ragged_files_are_read_as_their_header_says() {
    for text in [
        "sku,name",
        "sku,name\n",
        "sku,name\nA\nB,x\n",
        "sku,name\nA,b,\nB,c,\n",
        "sku\nA;B\nC;D\n",
        "article\n4711\n0815\n",
        "article\nBolt, M4\nNut, M4\n",
        "article\nA:1\nB:2\nC:3\n",
        "Name, long\nA\nB\n",
        "sku,name\nA;x\nB;y\n",
        "Item Number\nAB 123\nAB 124\n",
        "product-id\nP-1\nP-2\n",
        "Item#\n#1\n#2\n",
    ] {
        reads(text, ',');
    }
}

#[test]
fn lines_above_the_header_are_not_skipped_by_themselves() {
    for (text, above) in [
        ("Product list\nsku;name\nA1;x\n", 1),
        ("Product list, all\n\nsku;name\nA1;x\n", 2),
        ("Product list,,\nsku,name,price\nA,b,c\n", 1),
        ("#INFO,Version=1\n#INFO,x\n*Action,sku\nRevise,A\n", 2),
        ("Artikelliste\nArtikelnr;Name\nA1;x\nA2;y\n", 1),
        ("Artikelliste;;\nArtikelnr;Name;Preis\nA1;x;2\nA2;y;3\n", 1),
        ("Report\nsku\nA\nB\n", 1),
    ] {
        assert!(
            matches!(read(text), Err(Doubt::LinesAbove { lines, .. }) if lines == above),
            "{text}: {:?}",
            read(text)
        );
    }
}

#[test]
fn a_file_that_was_quoted_twice_and_unusual_delimiters_are_recognised() {
    assert_eq!(read("\"sku;name\"\n\"A1;x\"\n"), Err(Doubt::QuotedTwice { delimiter: b';' }));
    assert_eq!(read("\"sku,name\"\n\"A1,x\"\n"), Err(Doubt::QuotedTwice { delimiter: b',' }));
    assert_eq!(read("\"Nr;Name\"\n\"A1;x\"\n"), Err(Doubt::QuotedTwice { delimiter: b';' }));
    reads("\"Name, long\"\n\"Bolt, M4\"\n", ',');
    for text in [
        "sku#name\nA#x\n",
        "sku\u{1}name\nA\u{1}x\n",
        "sku!name\nA!x\n",
        "a~b\u{1}sku\nx\u{1}A\n",
        "a#sku\nx#\"\ny#A\n",
    ] {
        assert!(matches!(read(text), Err(Doubt::Several(two)) if two.len() == 2), "{text}");
    }
    let numbered = |text: &str, headers| {
        let sample = Sample { bytes: text.as_bytes(), is_whole: true };
        let asked = AskedColumns { key: Some("#1"), columns: &[], headers };
        sniff(sample, &Question { asked, ..question(&[]) })
    };
    for (text, headers) in
        [("nr\u{1}name\nA\u{1}x\n", true), ("sku#name\nA#x\n", true), ("A\u{1}x\nB\u{1}y\n", false)]
    {
        assert!(matches!(numbered(text, headers), Err(Doubt::Several(two)) if two.len() == 2), "{text}");
    }
    assert_eq!(numbered("Item#\n#1\n", true).map(|found| found.delimiter), Ok(b','));
    assert_eq!(read("sku\u{a6}name\nA\u{a6}x\n"), Err(Doubt::WideDelimiter { delimiter: '\u{a6}' }));
}

#[test]
fn the_quoting_is_found_or_left_in_doubt() {
    let is = |text: &str, quoting| assert_eq!(read(text).map(|found| found.1), Ok(quoting), "{text}");
    is("sku,name\n\"A\"\"4\",x\n", Quoting::DOUBLED);
    is("sku,name\n\"C:\\dir\",\"a\\\\b\\c\"\n", Quoting::DOUBLED);
    is("sku,name\n\"{\"\"a\"\":\"\"x\\\\y\"\"}\",x\n", Quoting::DOUBLED);
    is("sku,name\n\"A\\\"4\",x\n", Quoting::BACKSLASH);
    is("sku,name\n\"A\\\", 4\",x\nB,y\n", Quoting::BACKSLASH);
    is("sku,name\n\"a\\\",x\n", Quoting::DOUBLED);
    is("sku\tname\nA\t5\" TV\n", Quoting::DOUBLED);
    // Quotes are usual with commas: a cell may span lines.
    is("sku,name\nA,\"x\nB,y\"\nC,z\n", Quoting::DOUBLED);
    for doubt in [
        "sku\ttitle\nA\t\"x\nB\ty\nC\tz\"\nD\tw\n",
        "sku|title\nA|\"x\" y\n",
        "sku,title\nA,\"5\" TV\"\n",
        "sku,name\n\"a\\\\b\",x\n",
    ] {
        assert!(matches!(read(doubt), Err(Doubt::Several(two)) if two.len() == 2), "{doubt}");
    }
}

#[test]
fn what_the_user_says_is_not_in_doubt() {
    let sample = Sample { bytes: b"sku\ttitle\nA\t\"x\nB\ty\nC\tz\"\nD\tw\n", is_whole: true };
    for (quote, expected) in [(GivenChar::Absent, Quoting::NONE), (GivenChar::Char(b'"'), Quoting::DOUBLED)] {
        let quoting = GivenQuoting { quote, ..GivenQuoting::default() };
        assert_eq!(sniff(sample, &Question { quoting, ..question(&[]) }).unwrap().quoting, expected);
    }
    let given = Question { delimiter: Some(b';'), ..question(&[]) };
    assert_eq!(sniff(sample, &given).unwrap().delimiter, b';');
}

#[test]
fn rows_that_one_open_quote_would_swallow_are_in_doubt() {
    let text = format!("sku,name\nA,\"x\n{}", "1,x\n".repeat(300));
    let sample = Sample { bytes: text.as_bytes(), is_whole: false };
    assert!(matches!(sniff(sample, &question(&[])), Err(Doubt::Several(_))));
}
