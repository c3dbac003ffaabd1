//! The rules of the structure that the compiler does not check: imports go to lower layers only, no cycle between
//! files, one module for each outside power, the sizes of files and functions, and no type name twice.

mod imports;
mod option_names;
mod shape;
mod source;

use source::{Source, sources};

/// Modules by layer, the lowest first; `demo` stands apart: it imports from `model` only, and only the two highest
/// layers import from it.
const LAYERS: &[&[&str]] = &[
    &["model"],
    &["input", "json", "limit"],
    &["plan", "fetch", "collect", "report", "rate_store", "object_storage"],
    &["engine"],
    &["config"],
    &["commands"],
];

/// A crate, module, function or macro and the only places that may name it. clippy.toml forbids more, with reasons.
const ALLOWED_USES: &[(&str, &[&str])] = &[
    ("reqwest", &["fetch/transport.rs", "fetch/transport/"]),
    ("hyper", &["fetch/transport/", "demo/server.rs"]),
    ("hyper_util", &["fetch/transport/", "demo/server.rs"]),
    ("hyper_rustls", &["fetch/transport/"]),
    ("h2", &["fetch/transport/send_error.rs"]),
    ("rustls", &["fetch/transport.rs", "fetch/transport/"]),
    ("rustls_platform_verifier", &["fetch/transport/trust.rs"]),
    ("webpki", &["fetch/transport/send_error.rs"]),
    ("governor", &["limit/"]),
    ("redis", &["rate_store/redis_store.rs"]),
    ("object_store", &["object_storage/"]),
    ("clap", &["config/cli.rs", "config/cli/", "config/options.rs", "config/options/"]),
    ("clap_complete", &["config/cli/"]),
    ("clap_mangen", &["config/cli/"]),
    ("toml", &["config/file.rs"]),
    ("csv::Reader", &["input/"]),
    ("jaq_core", &["fetch/classify/select/"]),
    ("fearless_simd", &["json/scan.rs", "json/blocks.rs", "json/blocks/"]),
    ("simdutf8", &["json/token.rs"]),
    ("encoding_rs", &["fetch/classify/charset.rs", "input/text_encoding.rs"]),
    ("flate2", &["input/source.rs", "fetch/classify/decode.rs", "collect/files/compression.rs"]),
    ("zstd", &["input/source.rs", "fetch/classify/decode.rs", "collect/files/compression.rs"]),
    ("brotli_decompressor", &["fetch/classify/decode.rs"]),
    ("indicatif", &["report/console/bar.rs"]),
    ("plotters", &["report/"]),
    ("tempfile", &["collect/"]),
    ("signal_hook", &["engine/signals.rs"]),
    ("tokio::signal", &["engine/signals.rs"]),
    ("tokio::spawn", &["demo/"]),
    ("std::env", &["config/", "main.rs"]),
    ("std::net", &["fetch/transport/", "demo/"]),
    ("io::stdin", &["input/"]),
    ("io::stdout", &["engine/stdout_peer.rs", "commands/"]),
    ("io::stderr", &["commands/", "limit/descriptors.rs"]),
    ("fs::rename", &["collect/files/atomic.rs", "collect/journal/set_aside.rs", "collect/journal/open.rs"]),
    ("fs::remove_file", &["collect/"]),
    ("File::open", &["collect/", "config/file.rs", "input/source.rs"]),
    ("fs::OpenOptions", &["collect/"]),
    ("fs::read", &["config/build.rs", "commands/wiring.rs", "collect/files/replaceable.rs"]),
    ("fs::read_to_string", &["engine/signals.rs"]),
    ("tokio::process", &["fetch/token/command.rs"]),
    ("std::process::Command", &[]),
    ("spawn_blocking", &["engine/", "fetch/classify/offload.rs"]),
    ("thread::spawn", &[]),
    ("thread::Builder", &["engine/", "collect/", "demo/", "object_storage/lock.rs"]),
    ("process::exit", &["main.rs"]),
    ("eprintln!", &[]),
    ("println!", &[]),
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn nothing_in(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn imports_go_to_lower_layers_only_and_modules_of_one_layer_never_name_each_other() {
    let is_allowed = |module: &str, named: &str| match (module, layer(module), layer(named)) {
        _ if named == module => true,
        ("demo", _, Some(below)) => below == 0,
        ("commands" | "config", _, _) if named == "demo" => true,
        (_, Some(here), Some(below)) => below < here,
        _ => false,
    };
    let sources = sources();
    let modules = imports::Modules::of(&sources);
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| source.name.contains('/')) {
        let module = source.name.split('/').next().unwrap();
        for named in modules.imports(source) {
            if !is_allowed(module, named.split('/').next().unwrap()) {
                wrong.push(format!("{} imports from {named}", source.name));
            }
        }
    }
    nothing_in(&wrong);
}

#[test]
fn no_files_import_from_each_other_in_a_circle() {
    nothing_in(&imports::cycles(&sources()));
}

#[test]
fn each_outside_power_has_one_module() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (power, places) in ALLOWED_USES {
            if !places.iter().any(|place| source.name.starts_with(place)) && source.uses(power) {
                wrong.push(format!("{} uses {power}", source.name));
            }
        }
    }
    nothing_in(&wrong);
}

#[test]
fn every_file_says_what_it_is_for() {
    let is_silent = |source: &Source| !source.text.starts_with("//!");
    nothing_in(&sources().into_iter().filter(is_silent).map(|source| source.name).collect::<Vec<_>>());
}

#[test]
fn files_are_short_and_functions_take_few_parameters() {
    let sources = sources();
    let long = |source: &&Source| source.lines > shape::MOST_LINES_OF_A_FILE;
    let describe = |source: &Source| format!("{}: {} lines without its tests", source.name, source.lines);
    let mut wrong: Vec<String> = sources.iter().filter(long).map(describe).collect();
    wrong.extend(sources.iter().flat_map(shape::functions));
    nothing_in(&wrong);
}

#[test]
fn no_type_name_is_used_twice() {
    nothing_in(&shape::repeated_types(&sources()));
}

#[test]
fn no_string_literal_names_an_option() {
    nothing_in(&sources().iter().flat_map(option_names::in_literals).collect::<Vec<_>>());
}
