//! A browser without a screen, driven over its debugging pipe: messages of JSON that end with a
//! zero byte.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Names under which the browser is known.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// What is waited for comes within this time.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at a page.
const PAUSE: Duration = Duration::from_millis(100);

/// A running browser with one page.
pub(crate) struct Browser {
    child: Child,
    to: File,
    from: File,
    rest: Vec<u8>,
    number: u64,
    session: Option<String>,
    _dir: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The browser's program, if this machine has one.
pub(crate) fn program() -> Option<&'static str> {
    let is_there = |program: &&&str| {
        let looked = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output();
        looked.is_ok_and(|output| output.status.success())
    };
    PROGRAMS.iter().find(is_there).copied()
}

impl Browser {
    /// Starts it with a page of this size.
    pub(crate) fn start(program: &str, width: u32, height: u32) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let [to, from] = ["to", "from"].map(|name| dir.path().join(name));
        for pipe in [&to, &from] {
            mkfifo(pipe, Mode::S_IRWXU).expect("a pipe can be made");
        }
        let child = Command::new("sh")
            .arg("-c")
            .arg(
                "exec \"$0\" --headless=new --no-sandbox --disable-gpu --remote-debugging-pipe \
                 --user-data-dir=\"$1/profile\" about:blank 3<\"$1/to\" 4>\"$1/from\"",
            )
            .arg(program)
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a browser starts");
        // Each waits for the other end, in the shell's order.
        let to = File::options().write(true).open(to).expect("the browser listens");
        let from = File::open(from).expect("the browser speaks");
        let mut browser =
            Self { child, to, from, rest: Vec::new(), number: 0, session: None, _dir: dir };
        let targets = browser.call("Target.getTargets", &json!({}));
        let page = targets["targetInfos"].as_array().expect("targets").iter();
        let page =
            page.clone().find(|it| it["type"] == "page").expect("a page")["targetId"].clone();
        let attached =
            browser.call("Target.attachToTarget", &json!({"targetId": page, "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        browser.call("Page.enable", &json!({}));
        browser.resize(width, height);
        browser
    }

    /// Makes the page so large.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1,
            "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Goes to an address.
    pub(crate) fn go(&mut self, url: &str) {
        self.call("Page.navigate", &json!({"url": url}));
    }

    /// What an expression is in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true.
    pub(crate) fn until(&mut self, what: &str, expression: &str) {
        let start = Instant::now();
        // The page may be just going elsewhere.
        let expression =
            format!("(() => {{ try {{ return {expression}; }} catch {{ return false; }} }})()");
        while self.value(&expression) != true {
            if start.elapsed() > LIMIT {
                let text = self.value("document.body.innerText");
                panic!("waited in vain: {what}; the page says: {text}");
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Presses a key and lets it go.
    pub(crate) fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = if key == "Enter" && kind == "keyDown" { "\r" } else { "" };
            let mut event = json!({"type": kind, "key": key, "code": key});
            if !text.is_empty() {
                event["text"] = json!(text);
                event["windowsVirtualKeyCode"] = json!(13);
            }
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Clicks at a place of the page.
    pub(crate) fn click(&mut self, x: f64, y: f64) {
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).expect("the browser runs");
        loop {
            let mut answer = self.read();
            if answer["id"] == self.number {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    fn read(&mut self) -> Value {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == 0) {
                let message: Vec<u8> = self.rest.drain(..=end).collect();
                return serde_json::from_slice(&message[..end]).expect("it is JSON");
            }
            let mut buffer = [0; 1 << 16];
            let count = self.from.read(&mut buffer).expect("the browser runs");
            assert!(count > 0, "the browser has ended");
            self.rest.extend_from_slice(&buffer[..count]);
        }
    }
}
