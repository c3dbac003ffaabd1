//! Whatever damage a journal has, a later run takes from it and publishes only what an earlier run wrote, byte for
//! byte; or the journal is refused or set aside. After damage in place (as by a disk) the answers before it are left,
//! in their order. None that a marker called safe is lost without a message.
#![no_main]

use std::cell::OnceCell;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use skufetch::testing::collect::{
    Collector, JobIdentity, OutputSettings, Preflight, Provenance, PublishContext, Target, preflight,
};
use skufetch::testing::input::{Columns, CsvFormat};
use skufetch::testing::model::{Answer, Content, Entry, Fingerprint, Key, Outcome, Seq, Validators};
use tempfile::TempDir;

#[derive(Debug, Arbitrary)]
enum Case<'a> {
    /// What a crash or a disk does: bytes change in place, or the end is lost.
    InPlace { damage: Vec<Damage>, cut: Option<u16> },
    /// What an editor or a program does.
    Edited { edits: Vec<Edit<'a>> },
    /// A file of this name that holds anything.
    Foreign { bytes: &'a [u8], header: bool },
}

#[derive(Debug, Arbitrary)]
struct Damage {
    at: u16,
    kind: Kind,
}

#[derive(Debug, Arbitrary)]
enum Kind {
    Flip(u8),
    Set(u8),
    Zero(u16),
    Swap(u16),
}

#[derive(Debug, Arbitrary)]
enum Edit<'a> {
    Insert(u16, &'a [u8]),
    Remove(u16, u16),
    /// Lines by their numbers: the first is written again at the second's place.
    Repeat(u8, u8),
    RemoveLine(u8),
    Truncate(u16),
}

const KEYS: [&str; 6] = ["A1", "A2", "A3", "B4", "B5", "B6"];

struct World {
    _dir: TempDir,
    output: PathBuf,
    settings: OutputSettings,
    place: Preflight,
    /// A good journal: three answers, closed, three more.
    journal: Vec<u8>,
    /// Where the line of each answer begins and ends.
    answers: Vec<(usize, usize)>,
    /// All before this is named as synced by the first marker, whose line ends at the other place.
    synced: (usize, usize),
}

thread_local! {
    static WORLD: OnceCell<World> = const { OnceCell::new() };
}

fuzz_target!(|case: Case<'_>| {
    WORLD.with(|world| world.get_or_init(World::new).holds(&case));
});

fn body(seq: usize) -> String {
    format!("{{\"n\":{seq},\"text\":\"body of {}\"}}", KEYS[seq])
}

fn fingerprint(seq: usize) -> Fingerprint {
    Fingerprint(0x1234_5678_9abc_def0_0fed_cba9_8765_4300 + seq as u128)
}

fn entry(seq: usize) -> Entry {
    let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let content = Content::Json(body(seq).into());
    Entry {
        seq: Seq(u32::try_from(seq).unwrap()),
        line: seq as u64 + 2,
        key: Key::parse(KEYS[seq].as_bytes()).unwrap(),
        fingerprint: fingerprint(seq),
        attempts: 1,
        sent: None,
        outcome: Outcome::Fetched(Answer {
            status: 200,
            at,
            content,
            validators: Validators::default(),
            raw: None,
            error: None,
        }),
        record: csv::ByteRecord::from(vec![KEYS[seq]]),
        address: None,
        request: None,
        is_companion: false,
    }
}

fn identity() -> JobIdentity {
    JobIdentity {
        digest_input: b"job".to_vec(),
        description: serde_json::json!({ "url": "http://h/" }),
        provenance: Provenance::default(),
    }
}

impl World {
    fn new() -> Self {
        // In memory where there is such a folder: what is written here is synced each time.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let output = dir.path().join("out.json");
        let settings = OutputSettings { target: Target::File(output.clone()), ..OutputSettings::default() };
        let place = preflight(&settings).unwrap();
        for half in [0, 3] {
            let (mut journal, _) = Collector::open(&settings, &place, &identity(), None).unwrap();
            for seq in half..half + 3 {
                journal.append(&entry(seq)).unwrap();
            }
            if half == 0 {
                journal.close().unwrap();
            }
        }
        let journal = fs::read(dir.path().join("out.json.journal")).unwrap();
        let (mut answers, mut synced, mut at) = (Vec::new(), None, 0);
        for line in journal.split_inclusive(|&byte| byte == b'\n') {
            if line.windows(10).any(|part| part == b"\"fetched\":") {
                answers.push((at, at + line.len()));
            }
            if synced.is_none() && line.windows(9).any(|part| part == b"\"synced\":") {
                synced = Some((answers[2].1, at + line.len()));
            }
            at += line.len();
        }
        assert_eq!(answers.len(), 6);
        Self { _dir: dir, output, settings, place, journal, answers, synced: synced.expect("a marker") }
    }

    fn holds(&self, case: &Case<'_>) {
        let bytes = self.changed(case);
        let found = self.recovered(&bytes);
        self.is_never_in_the_way(&bytes, found.as_deref());
        if let (Case::InPlace { .. }, Some(found)) = (case, &found) {
            let same = bytes.iter().zip(&self.journal).take_while(|(new, old)| new == old).count();
            let before = |at: usize| self.answers.iter().filter(|&&(_, end)| end <= at).count();
            if same < self.answers[0].0 {
                assert!(found.is_empty(), "a bad header proves nothing");
            } else {
                // What stands before the first byte that differs is there, and no more.
                assert_eq!(found, &(0..before(same)).collect::<Vec<_>>(), "damaged at {same}");
                let marker_stands =
                    bytes.get(self.synced.0..self.synced.1) == self.journal.get(self.synced.0..self.synced.1);
                assert!(same >= self.synced.0 || !marker_stands, "safe answers were lost without a word");
            }
        }
    }

    /// The answers that a run takes from a journal of these bytes; none if the journal is refused.
    fn recovered(&self, bytes: &[u8]) -> Option<Vec<usize>> {
        for file in fs::read_dir(self.output.parent().unwrap()).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        fs::write(self.output.with_file_name("out.json.journal"), bytes).unwrap();
        fs::write(&self.output, b"old").unwrap();
        let (mut journal, recovered) = match Collector::open(&self.settings, &self.place, &identity(), None) {
            Ok(opened) => opened,
            Err(error) => {
                assert_eq!(error.exit().code(), 74, "{error}");
                assert_eq!(fs::read(&self.output).unwrap(), b"old");
                let left = fs::read(self.output.with_file_name("out.json.journal")).unwrap();
                assert_eq!(left, bytes, "what was refused stays as it was");
                return None;
            }
        };
        let seqs = 0..KEYS.len();
        let adopts = |&seq: &usize| journal.adopt(Seq(u32::try_from(seq).unwrap()), fingerprint(seq));
        let adopted: Vec<usize> = seqs.filter(adopts).collect();
        assert!(recovered.answers >= adopted.len() as u64);
        let finished = journal.close().unwrap();
        let columns =
            Columns { names: vec!["sku".into()], key: 0, format: CsvFormat::default(), headers: true };
        let mut context = PublishContext {
            place: &self.place,
            columns: &columns,
            is_planned: &|_| false,
            input: None,
            input_done: true,
            is_stopped: &|| false,
            may_replace: &|| true,
            stdout: &mut Vec::new(),
        };
        finished.publish(&self.settings, &mut context).unwrap();
        let lines: Vec<String> =
            adopted.iter().map(|&seq| format!("\"{}\":{}", KEYS[seq], body(seq))).collect();
        let expected =
            if lines.is_empty() { "{\n}\n".into() } else { format!("{{\n{}\n}}\n", lines.join(",\n")) };
        assert_eq!(fs::read_to_string(&self.output).unwrap(), expected);
        Some(adopted)
    }

    /// What was set aside gives the answers that it would give in its place, or none, and stops no run. It is gone on
    /// with, or stays as it was.
    fn is_never_in_the_way(&self, bytes: &[u8], in_place: Option<&[usize]>) {
        for file in fs::read_dir(self.output.parent().unwrap()).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        let aside = self.output.with_file_name("out.json.journal.1");
        fs::write(&aside, bytes).unwrap();
        let (mut journal, _) = Collector::open(&self.settings, &self.place, &identity(), None).unwrap();
        let seqs = 0..KEYS.len();
        let adopts = |&seq: &usize| journal.adopt(Seq(u32::try_from(seq).unwrap()), fingerprint(seq));
        let adopted: Vec<usize> = seqs.filter(adopts).collect();
        if adopted.is_empty() {
            assert!(in_place.is_none_or(<[usize]>::is_empty), "answers were lost");
        } else {
            assert_eq!(Some(adopted.as_slice()), in_place);
        }
        assert!(!aside.exists() || fs::read(&aside).unwrap() == bytes);
    }

    fn changed(&self, case: &Case<'_>) -> Vec<u8> {
        let mut bytes = self.journal.clone();
        match case {
            Case::InPlace { damage, cut } => {
                damage.iter().for_each(|damage| damage.apply(&mut bytes));
                if let Some(cut) = cut {
                    bytes.truncate(usize::from(*cut));
                }
            }
            // Lines that are repeated time and again would double the file each time.
            Case::Edited { edits } => edits.iter().take(12).for_each(|edit| edit.apply(&mut bytes)),
            Case::Foreign { bytes: foreign, header } => {
                bytes.truncate(if *header { self.answers[0].0 } else { 0 });
                bytes.extend_from_slice(foreign);
            }
        }
        bytes
    }
}

impl Damage {
    fn apply(&self, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return;
        }
        let at = usize::from(self.at) % bytes.len();
        match self.kind {
            Kind::Flip(bits) => bytes[at] ^= bits,
            Kind::Set(byte) => bytes[at] = byte,
            Kind::Zero(length) => {
                let end = bytes.len().min(at + usize::from(length));
                bytes[at..end].fill(0);
            }
            Kind::Swap(other) => bytes.swap(at, usize::from(other) % bytes.len()),
        }
    }
}

impl Edit<'_> {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: u16| usize::from(at) % (bytes.len() + 1);
        let line = |number: u8| {
            let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
            let number = usize::from(number) % lines.len().max(1);
            let start = lines[..number].iter().map(|line| line.len()).sum::<usize>();
            start..start + lines.get(number).map_or(0, |line| line.len())
        };
        match *self {
            Self::Insert(at, added) => {
                let at = place(at);
                bytes.splice(at..at, added.iter().copied());
            }
            Self::Remove(at, length) => {
                let at = place(at);
                let end = bytes.len().min(at + usize::from(length));
                bytes.drain(at..end);
            }
            Self::Repeat(from, to) => {
                let copy = bytes[line(from)].to_vec();
                let at = line(to).start;
                bytes.splice(at..at, copy);
            }
            Self::RemoveLine(number) => {
                let line = line(number);
                bytes.drain(line);
            }
            Self::Truncate(at) => bytes.truncate(usize::from(at)),
        }
    }
}
