//! The failure file of an input of any form has that form, and repairs the output.

use std::thread;

use crate::output_kit::keys;
use crate::support::{Reply, Run, ScriptedServer, WorkDir};

/// One input: four rows with the columns `sku` and `name`, of which the second and the fourth fail at first.
struct Form {
    about: &'static str,
    options: &'static [&'static str],
    text: &'static str,
    encode: fn(&str) -> Vec<u8>,
    /// The header of the failure file, and how the failed rows begin there.
    failed: [&'static str; 3],
}

fn utf8(text: &str) -> Vec<u8> {
    text.into()
}

fn utf16le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn utf16be(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

const FORMS: [Form; 11] = [
    Form {
        about: "UTF-16LE with a mark",
        options: &[],
        text: "\u{feff}sku;name\r\n1;a\r\n2;\"b;ж\"\r\n3;c\r\n4;=ж漢\r\n",
        encode: utf16le,
        failed: ["\u{feff}sku;name;_error;_status;_attempts\n", "2;\"b;ж\";", "4;'=ж漢;"],
    },
    Form {
        about: "UTF-16BE with a mark",
        options: &[],
        text: "\u{feff}sku|name\r\n1|a\r\n2|\"b|ж\"\r\n3|c\r\n4|д\r\n",
        encode: utf16be,
        failed: ["\u{feff}sku|name|_error|_status|_attempts\n", "2|\"b|ж\"|", "4|д|"],
    },
    Form {
        about: "UTF-8 with a mark",
        options: &[],
        text: "\u{feff}sku,name\n1,a\n2,ж\n3,c\n4,д\n",
        encode: utf8,
        failed: ["\u{feff}sku,name,_error,_status,_attempts\n", "2,ж,", "4,д,"],
    },
    Form {
        about: "windows-1252",
        options: &["--encoding", "windows-1252"],
        text: "sku;name\r\n1;a\r\n2;Größe\r\n3;c\r\n4;\"é;è\"\r\n",
        encode: latin1,
        failed: ["sku;name;_error;_status;_attempts\n", "2;Größe;", "4;\"é;è\";"],
    },
    Form {
        about: "carets",
        options: &[],
        text: "sku^name\n1^a,b;c\n2^\"x^y\"\n3^c\n4^d,e\n",
        encode: utf8,
        failed: ["sku^name^_error^_status^_attempts\n", "2^\"x^y\"^", "4^d,e^"],
    },
    Form {
        about: "tildes",
        options: &[],
        text: "sku~name\n1~a\n2~x^y\n3~c\n4~d~\n",
        encode: utf8,
        failed: ["sku~name~_error~_status~_attempts\n", "2~x^y~", "4~d~"],
    },
    Form {
        about: "quotes that are escaped",
        options: &[],
        text: "sku,name\n\"1\",\"a\"\n\"2\",\"5\\\" TV\"\n\"3\",\"c\"\n\"4\",\"\\\\ and \\\",\"\n",
        encode: utf8,
        failed: ["sku,name,_error,_status,\"\\_attempts\"\n", "2,\"5\\\" TV\",", "4,\"\\\\ and \\\",\","],
    },
    Form {
        about: "no quoting",
        options: &["--quote", "none"],
        text: "sku\tname\n1\ta\n2\t\"x\n3\ty\"\n4\t'\"z\n",
        encode: utf8,
        failed: ["sku\tname\t_error\t_status\t_attempts\n", "2\t'\"x\t", "4\t''\"z\t"],
    },
    Form {
        about: "single quotes",
        options: &["--quote", "'"],
        text: "sku,name\n1,a\n2,'x,\"y'\n3,c\n4,'it''s'\n",
        encode: utf8,
        failed: ["sku,name,_error,_status,'_attempts'\n", "2,'x,\"y',", "4,'it''s',"],
    },
    Form {
        about: "spaces",
        options: &["--delimiter", " "],
        text: "sku name\n1 a\n2 \"x y\"\n3 c\n4 d\n",
        encode: utf8,
        failed: ["sku name _error _status _attempts\n", "2 \"x y\" ", "4 d "],
    },
    Form {
        about: "a character of the names that a failure file adds",
        options: &["--delimiter", "_"],
        text: "sku_name\n1_a\n2_\"x_y\"\n3_c\n4_d\n",
        encode: utf8,
        failed: ["sku_name_\"_error\"_\"_status\"_\"_attempts\"\n", "2_\"x_y\"_", "4_d_"],
    },
];

#[test]
fn a_failure_file_has_the_encoding_and_the_form_of_its_input_and_repairs_the_output() {
    thread::scope(|scope| {
        for form in &FORMS {
            scope.spawn(|| check(form));
        }
    });
}

fn check(form: &Form) {
    let (dir, about) = (WorkDir::new(), form.about);
    dir.write("products.csv", (form.encode)(form.text));
    let run = |input: &str, server: &ScriptedServer, more: &[&str]| {
        let url = server.url("/p/{sku}?name={name}");
        let options = form.options.iter().filter(|_| more.is_empty() || form.options[0] == "--encoding");
        Run::new(&dir).args([input, "-o", "out.json", "-u", &url]).args(options).args(more).finish()
    };
    let server = ScriptedServer::start(|seen| match &*seen.sku {
        "2" | "4" => Reply::status(404),
        _ => Reply::echo(seen),
    });
    run("products.csv", &server, &[]).expect_code(1);
    let mut wanted: Vec<_> = server
        .requests()
        .iter()
        .filter(|seen| seen.sku == "2" || seen.sku == "4")
        .map(|seen| (seen.sku.clone(), seen.query_value("name")))
        .collect();
    wanted.sort();
    let failed = dir.bytes("out.failed.csv");
    let [header, second, fourth] = form.failed.map(form.encode);
    assert!(failed.starts_with(&[header, second].concat()), "{about}: {}", String::from_utf8_lossy(&failed));
    let line = (form.encode)("\n");
    let has_fourth = memchr::memmem::find(&failed, &[line, fourth].concat()).is_some();
    assert!(has_fourth, "{about}: {}", String::from_utf8_lossy(&failed));

    let server = ScriptedServer::echo();
    let ended = run("out.failed.csv", &server, &["--merge"]).expect_code(0);
    let mut requested: Vec<_> =
        server.requests().iter().map(|seen| (seen.sku.clone(), seen.query_value("name"))).collect();
    requested.sort();
    assert_eq!(requested, wanted, "{about}: {}", ended.stderr);
    let mut all = keys(&dir.read("out.json"));
    all.sort();
    assert_eq!(all, ["1", "2", "3", "4"], "{about}");
    assert!(!dir.has("out.failed.csv"), "{about}");
}
