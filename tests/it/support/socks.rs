//! A SOCKS proxy, version 4, 4a and 5, that connects everything to one address.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What it does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SocksReply {
    /// Connects.
    Connect,
    /// Requires this user and password (version 5).
    Login(&'static str, &'static str),
    /// Refuses with this code.
    Refuse(u8),
}

/// A proxy on loopback. It ends with the test.
pub struct SocksProxy {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    targets: Arc<Mutex<Vec<String>>>,
}

impl SocksProxy {
    pub fn start(to: SocketAddr, reply: SocksReply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (connections, targets) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let proxy = Self { addr, connections: Arc::clone(&connections), targets: Arc::clone(&targets) };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::Relaxed);
                let targets = Arc::clone(&targets);
                thread::spawn(move || serve(client, to, (reply, &targets)));
            }
        });
        proxy
    }

    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.addr)
    }

    /// Connections that were ever opened.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// What was asked for: `name:port` or `address:port`.
    pub fn targets(&self) -> Vec<String> {
        self.targets.lock().unwrap().clone()
    }
}

fn serve(
    mut client: TcpStream,
    to: SocketAddr,
    (reply, targets): (SocksReply, &Mutex<Vec<String>>),
) -> io::Result<()> {
    let target = match byte(&mut client)? {
        4 => target_of_4(&mut client)?,
        5 => match target_of_5(&mut client, reply)? {
            Some(target) => target,
            None => return Ok(()),
        },
        version => return Err(io::Error::other(format!("version {version}"))),
    };
    targets.lock().unwrap().push(target.0);
    let code = if let SocksReply::Refuse(code) = reply { code } else { 0 };
    let answer = match target.1 {
        4 => vec![0, if code == 0 { 90 } else { code }, 0, 0, 0, 0, 0, 0],
        _ => vec![5, code, 0, 3, 1, b'x', 0, 80],
    };
    client.write_all(&answer)?;
    if code != 0 {
        return Ok(());
    }
    let mut server = TcpStream::connect(to)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut server, &mut client);
    client.shutdown(Shutdown::Both)
}

fn byte(client: &mut TcpStream) -> io::Result<u8> {
    let mut byte = [0];
    client.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn text(client: &mut TcpStream, length: u8) -> io::Result<String> {
    let mut text = vec![0; length.into()];
    client.read_exact(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn text_to_zero(client: &mut TcpStream) -> io::Result<String> {
    let mut text = Vec::new();
    loop {
        match byte(client)? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            byte => text.push(byte),
        }
    }
}

fn target_of_4(client: &mut TcpStream) -> io::Result<(String, u8)> {
    let mut head = [0; 7];
    client.read_exact(&mut head)?;
    let [_, high, low, a, b, c, d] = head;
    let port = u16::from_be_bytes([high, low]);
    let _user = text_to_zero(client)?;
    let is_name = [a, b, c] == [0, 0, 0] && d != 0;
    let host = if is_name { text_to_zero(client)? } else { format!("{a}.{b}.{c}.{d}") };
    Ok((format!("{host}:{port}"), 4))
}

/// None where the credentials were refused.
fn target_of_5(client: &mut TcpStream, reply: SocksReply) -> io::Result<Option<(String, u8)>> {
    let ways = byte(client)?;
    let ways = text(client, ways)?;
    match reply {
        SocksReply::Login(user, password) if ways.as_bytes().contains(&2) => {
            client.write_all(&[5, 2])?;
            assert_eq!(byte(client)?, 1);
            let length = byte(client)?;
            let given = text(client, length)?;
            let length = byte(client)?;
            let is_right = given == user && text(client, length)? == password;
            client.write_all(&[1, u8::from(!is_right)])?;
            if !is_right {
                return Ok(None);
            }
        }
        SocksReply::Login(..) => {
            client.write_all(&[5, 0xff])?;
            return Ok(None);
        }
        _ => client.write_all(&[5, 0])?,
    }
    let mut head = [0; 4];
    client.read_exact(&mut head)?;
    let host = match head[3] {
        1 => {
            let mut ip = [0; 4];
            client.read_exact(&mut ip)?;
            std::net::Ipv4Addr::from(ip).to_string()
        }
        4 => {
            let mut ip = [0; 16];
            client.read_exact(&mut ip)?;
            format!("[{}]", std::net::Ipv6Addr::from(ip))
        }
        _ => {
            let length = byte(client)?;
            text(client, length)?
        }
    };
    let mut port = [0; 2];
    client.read_exact(&mut port)?;
    Ok(Some((format!("{host}:{}", u16::from_be_bytes(port)), 5)))
}
