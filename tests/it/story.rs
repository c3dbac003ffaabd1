//! Four nights of a cron job, told as they pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use crate::output_kit::{counts, echoed, fetch, finished, keys, skus};
use crate::support::{Reply, Run, ScriptedServer, WorkDir};

const SKUS: usize = 400;

/// What the API is like.
const WELL: u8 = 0;
const FAILING: u8 = 1;

#[test]
fn four_nights_complete_then_down_half_way_then_resumed_then_refreshed_with_304s_alone() {
    let (weather, left) = (Arc::new(AtomicU8::new(WELL)), Arc::new(AtomicUsize::new(usize::MAX)));
    let (now, fuse) = (Arc::clone(&weather), Arc::clone(&left));
    let server = ScriptedServer::start(move |seen| {
        if now.load(Ordering::Relaxed) == FAILING
            && fuse.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err()
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
    weather.store(FAILING, Ordering::Relaxed);
    left.store(SKUS / 2 + 60, Ordering::Relaxed);
    let ended = fetch(&dir, &server).args(["-c", "8"]).finish().expect_code(75);
    let [rows, fetched, unchanged, failed, _, deferred] = counts(&ended);
    assert_eq!((rows, unchanged, fetched, failed), (400, 200, 60, 0));
    assert_eq!(deferred, 140, "an outage is no failure of the SKUs");
    assert_eq!(dir.read("out.json"), night1, "the old file stands");

    // Night 3: the API is back; the run goes on.
    weather.store(WELL, Ordering::Relaxed);
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
    let asked = server.requests().split_off(before);
    assert_eq!(asked.len(), 400);
    assert!(asked.iter().all(|seen| seen.header("If-None-Match").is_some()), "conditional requests alone");
    assert_eq!(dir.read("out.json"), night3);
    assert_eq!(keys(&night3), all);
    assert_eq!(dir.names(), ["out.json", "out.json.lock", "out.json.state", "products.csv"]);
    assert_eq!(Run::new(&dir).args(["--version"]).finish().code, Some(0));
}
