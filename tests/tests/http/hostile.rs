//! What no client sends, or not on purpose.

use std::time::Duration;

use serde_json::json;
use stint_tests::job;
use stint_tests::wait::until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{jobs, shared};

/// A broken request is answered, or its connection ended, within this time.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_a_size() {
    let (_world, http, _) = shared("http-hostile").await;
    let all = jobs("http-hostile", "");
    let mut large = job("large").build();
    large["metadata"]["annotations"] = json!({"a": "x".repeat((1 << 20) + 1000)});
    let refused = http.json("POST", &all, &large).await.refused(413);
    assert_eq!(refused["reason"], "RequestEntityTooLarge");
    let _ = http.json("POST", &all, &json!([])).await.refused(400);
    for garbage in [&b""[..], b"{", b"\xff\xfe", b"k8s\0\x01", b"[[[[[[[[[["] {
        let headers = [("content-type", "application/json")];
        let reply = http.send("POST", &all, &headers, garbage).await;
        let _ = reply.refused(400);
    }
    let _ = http.get(&all).await.object(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_that_are_none() {
    let (_world, http, _) = shared("http-hostile").await;
    let one = jobs("http-hostile", "a");
    for path in [
        "/apis/batch/v2/jobs",
        "/apis/cats/v1",
        "/api/v1/cats",
        "/favicon.ico",
        "/apis/batch/v1/namespaces/a/jobs/b/cats",
        "/api/v1/namespaces/a/jobs",
    ] {
        let _ = http.get(path).await.refused(404);
    }
    let _ = http.get("/apis/batch/v1/namespaces/a/jobs/%ff").await.refused(400);
    for list in ["/apis/batch/v1/namespaces/{}/jobs", "/api/v1/namespaces/{}/events"] {
        for namespace in ["Not%20A", "%3E", "%2A", "a%0D%0Ab", "%09", "a.b"] {
            let list = list.replace("{}", namespace);
            let _ = http.get(&list).await.refused(400);
            let _ = http.get(&format!("{list}?watch=true")).await.refused(400);
            let _ = http.get(&format!("{list}/x")).await.refused(400);
        }
    }
    for (method, path) in [
        ("POST", one.as_str()),
        ("PUT", "/apis/batch/v1/namespaces/a/jobs"),
        ("TRACE", &one),
        ("POST", "/apis/batch/v1/jobs"),
        ("DELETE", "/apis/batch/v1/jobs"),
    ] {
        let reply = http.json(method, path, &json!({})).await;
        assert!([400, 405].contains(&reply.code), "{method} {path}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_in_a_browser_may_not_ask() {
    let (_world, http, _) = shared("http-hostile").await;
    let all = jobs("http-hostile", "");
    let manifest = job("from-a-page").build().to_string();
    let page = [("origin", "http://page.example"), ("content-type", "application/json")];
    let _ = http.send("POST", &all, &page, manifest.clone()).await.refused(400);
    let rebound = [("host", "rebound.example"), ("content-type", "application/json")];
    let _ = http.send("POST", &all, &rebound, manifest.clone()).await.refused(400);
    // A form can send this without asking.
    let form = [("content-type", "text/plain")];
    let _ = http.send("POST", &all, &form, manifest).await.refused(415);
    let _ = http.get(&jobs("http-hostile", "from-a-page")).await.refused(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_http() {
    let (_world, http, _) = shared("http-hostile").await;
    let pieces: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage that is no frame at all, and more of it",
    ];
    for bytes in pieces {
        let mut stream = TcpStream::connect(&http.address).await.expect("it listens");
        stream.write_all(bytes).await.expect("it takes bytes");
        // It may be ended already.
        drop(stream.shutdown().await);
        let mut answer = Vec::new();
        let read = timeout(LIMIT, stream.read_to_end(&mut answer)).await;
        // A reset is an end, too.
        drop(read.expect("the connection is ended"));
    }
    assert_eq!(http.get("/livez").await.code, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_does_not_read_is_cut_off() {
    let (_world, http, api) = shared("http-slow").await;
    let mut slow = TcpStream::connect(&http.address).await.expect("it listens");
    let path = format!("{}?watch=true", jobs("http-slow", ""));
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", http.address);
    slow.write_all(request.as_bytes()).await.expect("it takes bytes");
    let mut begun = [0; 15];
    slow.read_exact(&mut begun).await.expect("the watch begins");
    assert_eq!(&begun, b"HTTP/1.1 200 OK");
    let mut manifest = job("fat").spec(&json!({"suspend": true})).build();
    manifest["metadata"]["annotations"] = json!({"fat": "x".repeat(200 << 10)});
    api.create(&manifest).await;
    // Far more than the kernel holds for somebody who does not read.
    for n in 0..200 {
        api.patch("fat", &json!({"metadata": {"labels": {"n": n.to_string()}}})).await;
    }
    let others = http.get(&jobs("http-slow", "fat")).await.object(200);
    assert_eq!(others["metadata"]["labels"]["n"], "199");
    // What waits in the kernel goes on waiting, but the coordinator has let go of it.
    let (here, there) = (port(slow.local_addr()), port(slow.peer_addr()));
    until("the watcher is cut off", LIMIT, || async { (!is_held(there, here)).then_some(()) })
        .await;
}

fn port(address: std::io::Result<std::net::SocketAddr>) -> u16 {
    address.expect("the connection has two ends").port()
}

/// Whether the process that listens on `port` still holds its connection to `peer`.
fn is_held(port: u16, peer: u16) -> bool {
    const ESTABLISHED: &str = "01";
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel says");
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let ends = [fields.next(), fields.next()].map(|end| {
            let port = end.and_then(|end| end.split_once(':')).map_or("", |(_, port)| port);
            u16::from_str_radix(port, 16).ok()
        });
        ends == [Some(port), Some(peer)] && fields.next() == Some(ESTABLISHED)
    })
}
