//! Object storage in memory, by the protocol of S3: whole objects, ranges, uploads in parts, conditions and lists.
//! Signatures are not checked. `packaging/check-engines object-store` has the same against real servers.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, SystemTime};

use super::log::percent_decode;

/// The one bucket.
pub const BUCKET: &str = "shop";

/// A running store.
pub struct S3Server {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Object>,
    uploads: HashMap<String, BTreeMap<u64, Vec<u8>>>,
    writes: u64,
    /// A request whose line contains this waits.
    held: Option<String>,
    is_holding: bool,
    ignores_conditions: bool,
    refuses: bool,
}

#[derive(Clone)]
struct Object {
    content: Vec<u8>,
    etag: String,
}

struct Request {
    method: String,
    /// Without the bucket.
    key: String,
    query: HashMap<String, String>,
    line: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

impl S3Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (addr, shared) = (listener.local_addr().unwrap(), Arc::new(Shared::default()));
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&served);
                thread::spawn(move || serve(&stream.unwrap(), &shared));
            }
        });
        Self { addr, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn put(&self, key: &str, content: impl Into<Vec<u8>>) {
        self.state().put(key, content.into());
    }

    /// The content of an object as text; none: there is none.
    pub fn get(&self, key: &str) -> Option<String> {
        self.state().objects.get(key).map(|object| String::from_utf8(object.content.clone()).unwrap())
    }

    pub fn keys(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    /// Uploads in parts that were neither completed nor given up.
    pub fn open_uploads(&self) -> usize {
        self.state().uploads.len()
    }

    /// The next request whose line contains this waits until it is released.
    pub fn hold(&self, text: &str) {
        self.state().held = Some(text.into());
    }

    pub fn is_holding(&self) -> bool {
        self.state().is_holding
    }

    pub fn release(&self) {
        let mut state = self.state();
        (state.held, state.is_holding) = (None, false);
        self.shared.released.notify_all();
    }

    /// From here on conditions are accepted and not kept.
    pub fn ignore_conditions(&self) {
        self.state().ignores_conditions = true;
    }

    /// From here on every request is refused.
    pub fn refuse(&self) {
        self.state().refuses = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl State {
    fn put(&mut self, key: &str, content: Vec<u8>) -> String {
        self.writes += 1;
        let etag = format!("\"{}-{}\"", self.writes, content.len());
        self.objects.insert(key.into(), Object { content, etag: etag.clone() });
        etag
    }

    fn answer(&mut self, request: Request) -> Answer {
        let Request { method, key, query, headers, body, .. } = request;
        if self.refuses {
            return (403, vec![], b"<Error><Code>AccessDenied</Code></Error>".to_vec());
        }
        let found = self.objects.get(&key).cloned();
        let upload = query.get("uploadId").cloned();
        let unmet = |name: &str, holds: &dyn Fn(&str) -> bool| {
            headers.get(name).is_some_and(|value| !self.ignores_conditions && !holds(value))
        };
        let is_it = |etag: &str| found.as_ref().is_some_and(|found| found.etag == etag);
        match (method.as_str(), upload) {
            ("PUT", Some(id)) => {
                let part = query["partNumber"].parse().unwrap();
                match self.uploads.get_mut(&id) {
                    Some(parts) => parts.insert(part, body),
                    None => return (404, vec![], Vec::new()),
                };
                (200, vec![("ETag", format!("\"part-{part}\""))], Vec::new())
            }
            ("POST", Some(id)) => match self.uploads.remove(&id) {
                Some(parts) => {
                    let etag = self.put(&key, parts.into_values().flatten().collect());
                    let text = format!(
                        "<CompleteMultipartUploadResult><Location>l</Location><Bucket>{BUCKET}</Bucket><Key>k</Key>\
                         <ETag>{etag}</ETag></CompleteMultipartUploadResult>"
                    );
                    (200, vec![], text.into())
                }
                None => (404, vec![], Vec::new()),
            },
            ("POST", None) => {
                self.writes += 1;
                let id = format!("upload-{}", self.writes);
                self.uploads.insert(id.clone(), BTreeMap::new());
                let text = format!(
                    "<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>k</Key><UploadId>{id}</UploadId>\
                     </InitiateMultipartUploadResult>"
                );
                (200, vec![], text.into())
            }
            ("DELETE", Some(id)) => {
                self.uploads.remove(&id);
                (204, vec![], Vec::new())
            }
            ("DELETE", None) => {
                self.objects.remove(&key);
                (204, vec![], Vec::new())
            }
            ("PUT", None) if unmet("if-match", &is_it) || unmet("if-none-match", &|_| found.is_none()) => {
                (412, vec![], Vec::new())
            }
            ("PUT", None) => {
                let etag = self.put(&key, body);
                (200, vec![("ETag", etag)], Vec::new())
            }
            _ if query.contains_key("list-type") => (200, vec![], self.list(&query["prefix"])),
            _ => match found {
                None => (404, vec![], b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
                Some(found) if unmet("if-match", &|etag| found.etag == etag) => (412, vec![], Vec::new()),
                Some(found) => range(found, headers.get("range")),
            },
        }
    }

    fn list(&self, prefix: &str) -> Vec<u8> {
        let of = |(key, object): (&String, &Object)| {
            let Object { content, etag } = object;
            format!(
                "<Contents><Key>{key}</Key><Size>{}</Size><ETag>{etag}</ETag>\
                 <LastModified>2026-11-29T00:00:00.000Z</LastModified></Contents>",
                content.len()
            )
        };
        let found: String = self.objects.iter().filter(|(key, _)| key.starts_with(prefix)).map(of).collect();
        format!("<ListBucketResult>{found}</ListBucketResult>").into()
    }
}

fn range(Object { content, etag }: Object, range: Option<&String>) -> Answer {
    let modified = httpdate::fmt_http_date(SystemTime::now());
    let mut headers = vec![("ETag", etag), ("Last-Modified", modified)];
    let Some((from, to)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return (200, headers, content);
    };
    let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
    headers.push(("Content-Range", format!("bytes {from}-{to}/{}", content.len())));
    (206, headers, content[from..=to].to_vec())
}

fn serve(stream: &TcpStream, shared: &Shared) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let request = read(&mut reader)?;
        let mut state = shared.state.lock().unwrap();
        if state.held.as_ref().is_some_and(|held| request.line.contains(held.as_str())) {
            state.is_holding = true;
            state = shared.released.wait_while(state, |state| state.is_holding).unwrap();
        }
        let is_head = request.method == "HEAD";
        let is_elsewhere = request.key.is_empty() && request.query.is_empty();
        let (status, headers, body) = if is_elsewhere {
            (404, vec![], b"<Error><Code>NoSuchBucket</Code></Error>".to_vec())
        } else {
            state.answer(request)
        };
        drop(state);
        let mut answer = Vec::new();
        let _ = write!(answer, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            let _ = write!(answer, "{name}: {value}\r\n");
        }
        answer.extend(b"\r\n");
        let mut stream = stream;
        stream.write_all(&answer).ok()?;
        if !is_head {
            stream.write_all(&body).ok()?;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let line = lines.remove(0);
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let text = |text: &str| String::from_utf8(percent_decode(text)).unwrap();
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), text(value))
    };
    let query = query.split('&').filter(|part| !part.is_empty()).map(pair).collect();
    // Another bucket has no key here.
    let key = path.strip_prefix(&format!("/{BUCKET}")).unwrap_or_default().trim_start_matches('/');
    let headers: HashMap<String, String> = lines
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, key: text(key), query, headers, body, line: line.clone() })
}

/// So long a run may take to see that the store holds its request.
pub const SOON: Duration = Duration::from_secs(30);
