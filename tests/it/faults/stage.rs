//! Runs to be disturbed: what was there before, what the API answers, and what must be there in the end.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Reply, Run, ScriptedServer, Seen, WorkDir};

/// How many records the journal has once all is answered.
pub const RECORDS: usize = TONIGHT.len();
/// The second night: `K`, which was fetched in the first, fails.
const TONIGHT: [&str; 12] = ["S0", "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "K", "L", "M"];
/// The first night: `L` failed, and `GONE` was still in the catalogue.
const BEFORE: [&str; 12] = ["S0", "S1", "GONE", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "K", "L"];

/// A kind of run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Into an empty folder.
    New,
    /// Over an old output, its failure file and its state.
    Over,
    /// The same with `--merge`; half of the answers are "not modified".
    Merge,
    /// Over an old output of records.
    Record,
    /// Bodies that take several writes.
    Large,
    /// Bodies so large that the output is drafted while answers still arrive, one after the other.
    Drafted,
    /// One answer after the other, long enough to be synced in between.
    Slow,
    /// Where the journal of another job lies.
    Aside,
    /// With `--changes`.
    Changes,
    /// Over an old output that is much better than the new one.
    Held,
}

/// What a disturbed run says of its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// Nothing: it was killed.
    Killed,
    /// Nothing either, when every answer was in the journal.
    KilledPublishing,
    /// The exit code of an undisturbed run.
    Published,
    /// 74: disk trouble after the first request.
    Failed,
    /// 73 or 74 before the first request.
    Refused,
}

/// What is left beside the output, as far as it is a function of the answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Files {
    pub output: Option<String>,
    pub failed: Option<String>,
    pub held: Option<String>,
    pub changes: Option<String>,
}

impl Files {
    fn of(root: &Path) -> Self {
        let text = |name: &str| fs::read_to_string(root.join(name)).ok();
        Self {
            output: text("out.json").map(|text| untimed(&text)),
            failed: text("out.failed.csv"),
            held: text("out.held.json"),
            changes: text("changes.jsonl"),
        }
    }
}

/// A run with its past, its API and its undisturbed end.
pub struct Stage {
    /// What it is.
    pub kind: Kind,
    server: ScriptedServer,
    before: WorkDir,
    /// The files before the run.
    pub old: Files,
    /// What an undisturbed run leaves.
    pub new: Files,
    /// All names that it leaves.
    names: Vec<String>,
    /// How it ends.
    pub code: i32,
    cases: AtomicUsize,
}

impl Stage {
    pub fn new(kind: Kind) -> Self {
        let server = ScriptedServer::start(move |seen| answer(kind, seen));
        let before = WorkDir::new();
        let nothing = Files { output: None, failed: None, held: None, changes: None };
        let mut stage = Self {
            kind,
            server,
            before,
            old: nothing.clone(),
            new: nothing,
            names: vec![],
            code: if kind == Kind::Held { 76 } else { 1 },
            cases: AtomicUsize::new(0),
        };
        if kind != Kind::New {
            let run = stage.run(&stage.before, "-", "1").env("NIGHT", "1").stdin(csv(&BEFORE));
            if kind == Kind::Aside {
                run.args(["--select", ".sku", "--min-success", "100"]).finish().expect_code(69);
            } else {
                run.finish().expect_code(1);
            }
            stage.old = Files::of(stage.before.root());
            if stage.old.output.is_some() {
                // More than a umask leaves: so giving the new output the old one's mode takes a call.
                let mode = fs::Permissions::from_mode(0o666);
                fs::set_permissions(stage.before.path("out.json"), mode).unwrap();
            }
        }
        let dir = stage.folder();
        stage.run(&dir, "products.csv", "2").finish().expect_code(stage.code);
        stage.new = Files::of(dir.root());
        stage.names = dir.names();
        assert_ne!(stage.old, stage.new);
        assert!(stage.new.output.is_some() && stage.new.failed.is_some());
        stage
    }

    /// A folder as it was before the run.
    pub fn folder(&self) -> WorkDir {
        self.folder_in(&std::env::temp_dir())
    }

    /// The same in another place.
    pub fn folder_in(&self, place: &Path) -> WorkDir {
        let dir = WorkDir::new_in(place);
        for name in self.before.names() {
            fs::copy(self.before.path(&name), dir.path(&name)).unwrap();
        }
        dir.write("products.csv", csv(&TONIGHT));
        dir
    }

    /// The run; `case` distinguishes its requests from those of others.
    pub fn run<'a>(&self, dir: &'a WorkDir, input: &str, case: &str) -> Run<'a> {
        let url = self.server.url("/{sku}");
        let mut args = vec![input, "-o", "out.json", "-u", &url, "--progress", "none"];
        // Values of the environment are no part of the job: the journal does not mind another case.
        args.extend(["-H", "X-Case: ${CASE}", "-H", "X-Night: ${NIGHT}"]);
        match self.kind {
            Kind::New | Kind::Over | Kind::Large | Kind::Aside | Kind::Held => {}
            Kind::Changes => args.extend(["--changes", "changes.jsonl"]),
            Kind::Merge => args.push("--merge"),
            Kind::Record => args.extend(["--shape", "record"]),
            Kind::Slow | Kind::Drafted => args.extend(["-c", "1"]),
        }
        // No certificate is needed, and reading them all is slow under strace.
        let run = Run::new(dir).args(args).env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/dev/null");
        run.env("CASE", case).env("NIGHT", "2")
    }

    /// A name for a case that no other has.
    pub fn case(&self, name: &str) -> String {
        format!("{} {name}", self.cases.fetch_add(1, Ordering::Relaxed))
    }

    /// The SKUs that were requested in a case, once for each time.
    pub fn requested(&self, case: &str) -> Vec<String> {
        let mut seen = self.server.requests();
        seen.retain(|seen| seen.header("X-Case") == Some(case));
        seen.iter().map(|seen| seen.sku.clone()).collect()
    }

    /// Checks what a disturbed run left.
    pub fn check_left(&self, dir: &WorkDir, end: End, stderr: &str) -> Result<(), String> {
        self.check_files(dir, end, stderr)?;
        let temporary = |name: &String| Path::new(name).extension().is_some_and(|ending| ending == "tmp");
        if !matches!(end, End::Killed | End::KilledPublishing) && dir.names().iter().any(temporary) {
            return Err(format!("a temporary file stays: {:?}", dir.names()));
        }
        Ok(())
    }

    /// The same where removing a temporary file failed: it stays for the next run to remove.
    pub fn check_files(&self, dir: &WorkDir, end: End, stderr: &str) -> Result<(), String> {
        let left = Files::of(dir.root());
        let is = |files: &Files| left.output == files.output && left.held == files.held;
        let (is_old, is_new) = (is(&self.old), is(&self.new));
        let has_journal = dir.has("out.json.journal");
        let holds = match end {
            End::Killed => is_old || is_new,
            End::Published => is_new,
            End::KilledPublishing | End::Failed => is_new || is_old && has_journal,
            End::Refused => is_old,
        };
        if !holds {
            return Err(format!("{end:?}, and it left {:?} and {left:?}", dir.names()));
        }
        let is_published = left.output != self.old.output;
        if stderr.contains("nothing published") && is_published
            || stderr.contains("journal kept") && !has_journal
        {
            return Err(format!("{:?} belie what it says", dir.names()));
        }
        if let Ok(text) = fs::read(dir.path("out.json")) {
            serde_json::from_slice::<serde::de::IgnoredAny>(&text).map_err(|error| error.to_string())?;
        }
        if left.failed != self.old.failed && left.failed != self.new.failed {
            return Err(format!("neither the old failure file nor the new: {left:?}"));
        }
        if left.changes != self.old.changes && left.changes != self.new.changes {
            return Err(format!("neither the old changes nor the new: {left:?}"));
        }
        if is_published && left.changes != self.new.changes {
            return Err(format!("published without the changes that lead there: {left:?}"));
        }
        if let Ok(lock) = fs::File::open(dir.path("out.json.lock")) {
            lock.try_lock().map_err(|error| format!("the lock is held: {error}"))?;
        }
        Ok(())
    }

    /// Runs again, undisturbed, and checks that the end is that of a run that never was disturbed.
    pub fn check_again(&self, dir: &WorkDir, input: &str, case: &str) -> Result<(), String> {
        // A run after a complete one finds no change.
        let is_whole = Files::of(dir.root()) == self.new && !dir.has("out.json.journal");
        let journal = fs::read(dir.path("out.json.journal")).unwrap_or_default();
        let foreign = fs::read(self.before.path("out.json.journal")).is_ok_and(|before| before == journal);
        let safe = if foreign { BTreeSet::new() } else { kept(&journal)? };
        let case = format!("{case} again");
        // The threads of a killed run may still hold its lock for a moment, on a busy machine.
        let run = self.run(dir, input, &case).args(["--lock-wait", "10s"]);
        let ended = if input == "-" { run.stdin(rows()) } else { run }.finish();
        if ended.code != Some(self.code) {
            return Err(format!("the rerun ended with {:?}: {}", ended.code, ended.stderr));
        }
        let left = Files::of(dir.root());
        let no_change = left.changes.as_ref().is_some_and(|text| !text.contains("\"new\""));
        let changes = if is_whole && no_change { left.changes.clone() } else { self.new.changes.clone() };
        if left != (Files { changes, ..self.new.clone() }) {
            return Err(format!("the rerun left {left:?}\nin place of {:?}", self.new));
        }
        if dir.names() != self.names {
            return Err(format!("the rerun left {:?}, not {:?}", dir.names(), self.names));
        }
        let requested = self.requested(&case);
        let once: BTreeSet<String> = requested.iter().cloned().collect();
        if once.len() != requested.len() {
            return Err(format!("asked twice in one run: {requested:?}"));
        }
        match once.intersection(&safe).next() {
            Some(sku) => Err(format!("{sku} was safe in the journal, and was asked for again")),
            None => Ok(()),
        }
    }
}

/// The API: the same answer at every attempt of a night. Odd SKUs change from night to night, even ones
/// do not, and say so.
fn answer(kind: Kind, seen: &Seen) -> Reply {
    let night = seen.header("X-Night").unwrap_or_default();
    let sku = seen.sku.as_str();
    if matches!((sku, night), ("K", "2") | ("L", "1")) {
        return Reply::status(404);
    }
    if kind == Kind::Held && seen.header("X-Night") == Some("2") {
        return Reply::json("{\"error\":\"maintenance\"}");
    }
    let even = sku.ends_with(['0', '2', '4', '6', '8']);
    let night = if even { "" } else { night };
    let etag = format!("\"{sku}-{night}\"");
    if seen.header("If-None-Match") == Some(&etag) {
        return Reply::status(304).header("ETag", etag);
    }
    let more = "x".repeat(match kind {
        Kind::Large => 100_000,
        Kind::Drafted => 500_000,
        _ => 0,
    });
    let wait =
        Duration::from_millis(if kind == Kind::Slow && seen.header("X-Night") == Some("2") { 60 } else { 0 });
    let body = format!("{{\"sku\":\"{sku}\",\"night\":\"{night}\",\"more\":\"{more}\"}}");
    Reply::json(body).header("ETag", etag).wait(wait)
}

/// What the run reads on standard input.
pub fn rows() -> String {
    csv(&TONIGHT)
}

fn csv(skus: &[&str]) -> String {
    std::iter::once("sku,name\n".into())
        .chain(skus.iter().map(|sku| format!("{sku},\"a, {sku}\"\n")))
        .collect()
}

/// The same without the times of records.
fn untimed(text: &str) -> String {
    let mut parts = text.split("\"fetched_at\":\"");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let time = part.split('"').next().unwrap_or_default();
        assert!(time.len() >= 20 && time.ends_with('Z'), "{time} is no time");
        out.push_str("\"fetched_at\":\"TIME");
        out.push_str(&part[time.len()..]);
    }
    out
}

/// The SKUs whose answers are complete in a journal. After a kill that is all of it: what the kernel has
/// taken outlives the process. So this expects more than the synced part.
fn kept(journal: &[u8]) -> Result<BTreeSet<String>, String> {
    let mut lines = journal.split_inclusive(|&byte| byte == b'\n');
    let header = lines.next().filter(|line| line.ends_with(b"\n"));
    let header = header.and_then(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let Some(salt) = header.as_ref().and_then(|header| header["salt"].as_str()) else {
        return Ok(BTreeSet::new());
    };
    let salt: Vec<u8> =
        (0..16).map(|at| u8::from_str_radix(&salt[2 * at..2 * at + 2], 16).unwrap()).collect();
    let mut skus = BTreeSet::new();
    for line in lines {
        let Some(line) = line.strip_suffix(b"\n") else { break };
        if line.is_empty() {
            continue;
        }
        let mut crc = crc32fast::Hasher::new_with_initial(crc32fast::hash(&salt));
        crc.update(&line[18.min(line.len())..]);
        if !line.starts_with(format!("{{\"crc\":\"{:08x}\",", crc.finalize()).as_bytes()) {
            break;
        }
        let record: serde_json::Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if let Some(answer) = record["answer"].as_object() {
            skus.extend(answer.keys().cloned());
        }
    }
    Ok(skus)
}
