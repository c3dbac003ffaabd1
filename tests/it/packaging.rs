//! What packages are made from is there, and the scripts that make them can be read by their shell. The
//! packages themselves are built and tried by `packaging/deb`, `packaging/wheel` and `packaging/install`;
//! `packaging/check-systemd` boots a systemd and runs their units.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_file_of_the_debian_package_is_there_or_made_by_its_script() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let script = fs::read_to_string(root().join("packaging/deb")).unwrap();
    let assets = deb["assets"].as_array().unwrap();
    assert!(assets.len() > 10);
    for asset in assets {
        let (from, to) = (asset[0].as_str().unwrap(), asset[1].as_str().unwrap());
        if from.starts_with("target/") {
            let made =
                from.rsplit_once('.').map_or(from, |(name, _)| name).trim_start_matches("target/packaging/");
            assert!(
                from == "target/release/skufetch" || script.contains(&format!("$made/{made}.")),
                "{from}"
            );
        } else {
            assert!(root().join(from).is_file(), "{from}");
        }
        assert!(script.contains(to.trim_end_matches('/')), "{to} is not looked for by packaging/deb");
    }
    assert!(root().join(deb["maintainer-scripts"].as_str().unwrap()).join("postinst").is_file());
}

#[test]
fn the_licences_that_the_manifest_names_are_there() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    assert_eq!(manifest["package"]["license"].as_str(), Some("MIT OR Apache-2.0"));
    assert!(fs::read_to_string(root().join("LICENSE-MIT")).unwrap().contains("The skufetch authors"));
    assert!(fs::read_to_string(root().join("LICENSE-APACHE")).unwrap().contains("Version 2.0, January 2004"));
}

#[test]
fn the_scripts_can_be_run_and_say_how() {
    for (shell, name) in [
        ("bash", "packaging/check"),
        ("bash", "packaging/check-container"),
        ("bash", "packaging/check-engines"),
        ("bash", "packaging/check-platforms"),
        ("bash", "packaging/check-python"),
        ("bash", "packaging/check-systemd"),
        ("bash", "packaging/container/assemble-root"),
        ("bash", "packaging/deb"),
        ("bash", "packaging/engines/slurm-array.sh"),
        ("bash", "packaging/engines/slurm-merge.sh"),
        ("bash", "packaging/install"),
        ("bash", "packaging/wheel"),
        ("sh", "packaging/debian/postinst"),
        ("sh", "packaging/debian/postrm"),
        ("sh", "packaging/debian/prerm"),
        ("bash", "packaging/systemd/check-jobs"),
    ] {
        let path = root().join(name);
        assert!(fs::metadata(&path).unwrap().permissions().mode() & 0o111 != 0, "{name} cannot be run");
        assert!(fs::read_to_string(&path).unwrap().lines().nth(1).unwrap().starts_with("# "), "{name}");
        let output = Command::new(shell).arg("-n").arg(&path).output();
        assert!(output.is_ok_and(|output| output.status.success()), "{name}");
    }
}

/// The test modules of tests/python that need nothing but Python; `packaging/check-python` runs the others too.
const PYTHON_TESTS: &[&str] = &[
    "test_container",
    "test_docs",
    "test_engines",
    "test_fetch",
    "test_manifests",
    "test_read",
    "test_rows",
    "test_shards",
    "test_stop",
    "test_stream",
];

fn python_test(module: &str) -> Output {
    Command::new("python3")
        .args(["-W", "error::ResourceWarning", "-m", "unittest", module])
        .current_dir(root().join("tests/python"))
        .env("SKUFETCH_BINARY", env!("CARGO_BIN_EXE_skufetch"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap()
}

#[test]
fn the_python_module_passes_its_tests() {
    let version =
        Command::new("python3").args(["-c", "import sys; sys.exit(sys.version_info < (3, 9))"]).status();
    if !version.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "there is no python3 of 3.9 or later");
        println!("skipped: there is no python3 of 3.9 or later");
        return;
    }
    let mut there: Vec<String> = fs::read_dir(root().join("tests/python"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".py").map(str::to_owned))
        .filter(|name| name.starts_with("test_") && name != "test_frames")
        .collect();
    there.sort();
    let mut listed = PYTHON_TESTS.to_vec();
    listed.sort_unstable();
    assert_eq!(there, listed);
    let running: Vec<_> =
        PYTHON_TESTS.iter().map(|name| (name, thread::spawn(|| python_test(name)))).collect();
    for (name, test) in running {
        let output = test.join().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}:\n{said}");
        // An empty module passes as well.
        assert!(said.contains("\nOK") && !said.contains("Ran 0 tests"), "{name}:\n{said}");
    }
}
