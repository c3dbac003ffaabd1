//! Answers that break the rules of HTTP/1.1: each has one outcome, and none becomes the value of another SKU.

use crate::requests::asking;
use crate::support::WorkDir;
use crate::support::raw::RawServer;
use crate::support::reply::echo_body;

/// By the straight way, and by reqwest's, which is the one for addresses with user-info.
pub fn both_ways(url: &str) -> [String; 2] {
    [url.to_owned(), url.replace("://", "://u:p@")]
}

#[test]
fn interim_answers_without_end_end_with_the_timeout_and_fill_no_memory() {
    let server = RawServer::answering(|socket, asked| {
        if asked.sku != "flood" {
            return socket.echo(asked);
        }
        let link = "a".repeat(200);
        let flood = format!("HTTP/1.1 103 Early Hints\r\nLink: </{link}>\r\n\r\n").repeat(1000);
        loop {
            socket.say(&flood)?;
        }
    });
    let dir = WorkDir::new();
    dir.write_skus(["flood", "good"]);
    let args = ["-c", "1", "--retries", "0", "--timeout", "300ms", "--min-success", "0"];
    let ended = asking(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
    assert!(ended.stderr.contains("1 timed out"), "{}", ended.stderr);
    assert!(dir.read("out.json").contains(&echo_body("good")));
    assert!(ended.peak_memory < 60 << 20, "{} MiB", ended.peak_memory >> 20);
}
