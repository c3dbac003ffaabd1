//! Several runs of a nightly job, one after the other.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::faults::full_disk::SmallDisk;
use crate::output_kit::{counts, echoed, fetch, finished, keys, messages, skus};
use crate::support::{Ended, Reply, Run, ScriptedServer, WorkDir};

const SKUS: usize = 400;

/// What the API is like.
const UP: u8 = 0;
const FAILING: u8 = 1;

#[test]
fn four_nights_complete_then_down_half_way_then_resumed_then_refreshed_with_304s_alone() {
    let (state, left) = (Arc::new(AtomicU8::new(UP)), Arc::new(AtomicUsize::new(usize::MAX)));
    let (now, answers_left) = (Arc::clone(&state), Arc::clone(&left));
    let server = ScriptedServer::start(move |seen| {
        if now.load(Ordering::Relaxed) == FAILING
            && answers_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err()
        {
            return Reply::retry_after(503, "7200");
        }
        let etag = format!("\"{}\"", crc32fast::hash(seen.sku.as_bytes()));
        if seen.header("If-None-Match") == Some(&etag) {
            return Reply::bytes("").with_status(304);
        }
        Reply::echo(seen).header("ETag", etag).wait(Duration::from_millis(2))
    });
    let dir = WorkDir::new();
    let catalogue = skus(SKUS);
    let (half, all) = (&catalogue[..SKUS / 2], &catalogue[..]);

    // Night 1: all is well; cron has nothing to mail but which run it was, and the summary.
    dir.write_skus(half);
    let ended = fetch(&dir, &server).finish().expect_code(0);
    assert_eq!(counts(&ended), [200, 200, 0, 0, 0, 0]);
    assert_eq!(ended.stderr.lines().count(), 2, "no more than those: {}", ended.stderr);
    let night1 = dir.read("out.json");
    assert_eq!(night1, echoed(half));

    // Night 2: the catalogue has doubled, and the API goes down half way.
    dir.write_skus(all);
    state.store(FAILING, Ordering::Relaxed);
    left.store(SKUS / 2 + 60, Ordering::Relaxed);
    let ended = fetch(&dir, &server).args(["-c", "8"]).finish().expect_code(75);
    let [rows, fetched, unchanged, failed, _, deferred] = counts(&ended);
    assert_eq!((rows, unchanged, fetched, failed), (400, 200, 60, 0));
    assert_eq!(deferred, 140, "an outage is no failure of the SKUs");
    assert_eq!(dir.read("out.json"), night1, "the old file stands");

    // Night 3: the API is back; the run goes on.
    state.store(UP, Ordering::Relaxed);
    let before = server.count();
    let ended = fetch(&dir, &server).finish().expect_code(0);
    assert_eq!(counts(&ended), [400, 400, 0, 0, 0, 0]);
    assert_eq!(finished(&ended)["recovered"], 260);
    assert_eq!(server.count() - before, 140, "nothing that was answered is asked for again");
    let night3 = dir.read("out.json");
    assert_eq!(night3, echoed(all));

    // Night 4: nothing has changed.
    let before = server.count();
    let ended = fetch(&dir, &server).finish().expect_code(0);
    assert_eq!(counts(&ended), [400, 0, 400, 0, 0, 0]);
    let requested = server.requests().split_off(before);
    assert_eq!(requested.len(), 400);
    assert!(
        requested.iter().all(|seen| seen.header("If-None-Match").is_some()),
        "conditional requests alone"
    );
    assert_eq!(dir.read("out.json"), night3);
    assert_eq!(keys(&night3), all);
    assert_eq!(dir.names(), ["out.json", "out.json.lock", "out.json.state", "products.csv"]);
    assert_eq!(Run::new(&dir).args(["--version"]).finish().code, Some(0));
}

/// What the API has tonight, and its state.
#[derive(Default)]
struct Catalogue {
    bodies: HashMap<String, String>,
    state: ApiState,
}

#[derive(Default)]
enum ApiState {
    #[default]
    Up,
    /// 200 with the same words for every SKU.
    SameBody,
    /// So many answers, and then nothing for hours.
    DownAfter(usize),
}

/// What must be in the folder, worked out without the program.
#[derive(Clone, Default, PartialEq, Debug)]
struct Model {
    /// Keys and bodies of the output, in its order.
    output: Vec<(String, String)>,
    failed: Vec<String>,
}

impl Model {
    /// Every SKU of the list that the API has, in the order of the list.
    fn night(list: &[String], bodies: &HashMap<String, String>) -> Self {
        let mut model = Self::default();
        for sku in list {
            match bodies.get(sku) {
                Some(body) => model.output.push((sku.clone(), body.clone())),
                None => model.failed.push(sku.clone()),
            }
        }
        model
    }

    fn text(&self) -> String {
        let lines: Vec<String> = self.output.iter().map(|(key, body)| format!("\"{key}\":{body}")).collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }

    /// The lines of `--changes` that lead from this night to the next one, whose list is `list`.
    fn changes_to(&self, next: &Self, list: &[String]) -> String {
        let (old, new): (HashMap<_, _>, HashMap<_, _>) =
            (self.output.iter().cloned().collect(), next.output.iter().cloned().collect());
        let mut text = String::new();
        for sku in list {
            match (old.get(sku), new.get(sku)) {
                (Some(old), Some(new)) if old == new => {}
                (Some(old), Some(new)) => {
                    writeln!(
                        text,
                        "{{\"key\":\"{sku}\",\"change\":\"changed\",\"old\":{old},\"new\":{new}}}"
                    )
                    .unwrap();
                }
                (None, Some(new)) => {
                    writeln!(text, "{{\"key\":\"{sku}\",\"change\":\"added\",\"new\":{new}}}").unwrap();
                }
                (Some(old), None) => {
                    writeln!(text, "{{\"key\":\"{sku}\",\"change\":\"failed\",\"old\":{old}}}").unwrap();
                }
                (None, None) => writeln!(text, "{{\"key\":\"{sku}\",\"change\":\"failed\"}}").unwrap(),
            }
        }
        let listed: HashSet<&String> = list.iter().collect();
        for (sku, old) in self.output.iter().filter(|(sku, _)| !listed.contains(sku)) {
            writeln!(text, "{{\"key\":\"{sku}\",\"change\":\"removed\",\"old\":{old}}}").unwrap();
        }
        text
    }

    #[track_caller]
    fn assert_in(&self, dir: &WorkDir) {
        assert_eq!(dir.read("out.json"), self.text());
        let failed: String =
            if dir.has("out.failed.csv") { dir.read("out.failed.csv") } else { String::new() };
        let rows: Vec<&str> = failed.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
        assert_eq!(rows, self.failed);
    }
}

/// An API and a folder, on a small disk where one can be mounted.
struct Job {
    catalogue: Arc<Mutex<Catalogue>>,
    server: ScriptedServer,
    dir: WorkDir,
}

impl Job {
    fn new(dir: WorkDir) -> Self {
        let catalogue = Arc::new(Mutex::new(Catalogue::default()));
        let tonight = Arc::clone(&catalogue);
        let server = ScriptedServer::start(move |seen| {
            let mut tonight = tonight.lock().unwrap();
            let answers = match &mut tonight.state {
                ApiState::SameBody => return Reply::json("{\"error\":\"maintenance\"}"),
                ApiState::DownAfter(0) => return Reply::retry_after(503, "7200"),
                ApiState::DownAfter(left) => {
                    *left -= 1;
                    &tonight.bodies
                }
                ApiState::Up => &tonight.bodies,
            };
            answers.get(&seen.sku).map_or_else(|| Reply::status(404), Reply::json)
        });
        Self { catalogue, server, dir }
    }

    /// One night with this list and these bodies.
    fn night(&self, list: &[String], bodies: &HashMap<String, String>, state: ApiState) -> Ended {
        self.dir.write_skus(list);
        *self.catalogue.lock().unwrap() = Catalogue { bodies: bodies.clone(), state };
        fetch(&self.dir, &self.server).args(["-c", "4", "--changes", "changes.jsonl"]).finish()
    }
}

fn priced(skus: &[String], price: usize) -> HashMap<String, String> {
    let body = |sku: &String| format!("{{\"sku\":\"{sku}\",\"price\":{price}.10}}");
    skus.iter().map(|sku| (sku.clone(), body(sku))).collect()
}

#[test]
fn seven_nights_after_each_of_which_the_file_is_what_a_model_says_or_the_old_one() {
    let disk = SmallDisk::mount(2048);
    let job = Job::new(disk.as_ref().map_or_else(WorkDir::new, |disk| WorkDir::new_in(&disk.at)));
    let all = skus(400);
    let dir = &job.dir;

    // Night 1: all is well.
    let list = &all[..300];
    let mut bodies = priced(&all, 1);
    job.night(list, &bodies, ApiState::Up).expect_code(0);
    let mut model = Model::night(list, &bodies);
    model.assert_in(dir);
    assert_eq!(dir.read("changes.jsonl"), Model::default().changes_to(&model, list));

    // Night 2: the CSV grows, and the API has three of its SKUs no more.
    let list = &all[..];
    for gone in [&all[7], &all[150], &all[399]] {
        bodies.remove(gone);
    }
    job.night(list, &bodies, ApiState::Up).expect_code(1);
    let next = Model::night(list, &bodies);
    next.assert_in(dir);
    assert_eq!(dir.read("changes.jsonl"), model.changes_to(&next, list));
    model = next;

    // Night 3: the CSV shrinks and is sorted anew; some prices changed, one by its digits alone.
    let mut list: Vec<String> = all[40..].to_vec();
    list.reverse();
    bodies.extend(priced(&all[100..120], 2));
    bodies.insert(all[200].clone(), bodies[&all[200]].replace("1.10", "1.1"));
    bodies.extend(priced(&all[150..151], 1));
    job.night(&list, &bodies, ApiState::Up).expect_code(1);
    let next = Model::night(&list, &bodies);
    next.assert_in(dir);
    assert_eq!(dir.read("changes.jsonl"), model.changes_to(&next, &list));
    model = next;
    let good = dir.bytes("out.json");

    // Night 4: the API lies. The output is held back, and nothing of the lie is left to go on with.
    let ended = job.night(&list, &bodies, ApiState::SameBody).expect_code(76);
    assert!(messages(&ended).contains("for 360 of 360 SKUs"), "{}", messages(&ended));
    assert_eq!((dir.bytes("out.json"), dir.has("out.json.journal")), (good.clone(), false));
    assert_eq!(dir.read("out.held.json").matches("maintenance").count(), 360);

    // Night 5: the API goes down after 90 answers.
    bodies.extend(priced(&all[300..310], 3));
    let ended = job.night(&list, &bodies, ApiState::DownAfter(90)).expect_code(75);
    assert_eq!(dir.bytes("out.json"), good);
    let [_, fetched, _, failed, _, deferred] = counts(&ended);
    assert_eq!((fetched + failed, fetched + failed + deferred), (90, 360));

    // Night 6: the disk is full, or as good as full.
    let full = if let Some(disk) = &disk {
        disk.fill(16);
        let ended = job.night(&list, &bodies, ApiState::Up);
        disk.free();
        ended
    } else {
        *job.catalogue.lock().unwrap() = Catalogue { bodies: bodies.clone(), state: ApiState::Up };
        fetch(dir, &job.server).after_shell("ulimit -f 24").finish()
    };
    assert!(matches!(full.code, Some(73 | 74)), "{:?}: {}", full.code, full.stderr);
    assert_eq!(dir.bytes("out.json"), good);

    // Night 7: all is well, and the answers of night 5 are not requested again.
    let before = job.server.count();
    let ended = job.night(&list, &bodies, ApiState::Up).expect_code(1);
    assert!(finished(&ended)["recovered"].as_u64() >= Some(fetched), "{}", ended.stderr);
    assert!(job.server.count() - before <= 360 - usize::try_from(fetched).unwrap());
    let next = Model::night(&list, &bodies);
    next.assert_in(dir);
    assert_eq!(dir.read("changes.jsonl"), model.changes_to(&next, &list));
    let mut left = dir.names();
    left.retain(|name| name != "ballast");
    let expected =
        ["changes.jsonl", "out.failed.csv", "out.json", "out.json.lock", "out.json.state", "products.csv"];
    assert_eq!(left, expected, "nothing of the bad nights is left");
}
