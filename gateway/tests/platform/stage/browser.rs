//! A headless Chromium, driven over the DevTools protocol.

use std::{
    collections::HashMap,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt, stream::SplitSink};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::oneshot};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::MAX_WAIT;

/// No background requests, and no desktop.
const FLAGS: [&str; 14] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--window-size=1280,1600",
    "--remote-debugging-port=0",
];

/// A running browser with a profile of its own; both are removed on drop.
pub(crate) struct Browser {
    child: Child,
    profile: PathBuf,
    endpoint: String,
}

impl Browser {
    /// Starts a browser; `None`, with a message that the test is skipped, if this machine has no Chromium.
    pub(crate) async fn start() -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("skipped: no Chromium; CHROMIUM may name one");
            return None;
        };
        let profile =
            std::env::temp_dir().join(format!("platform-chromium-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&profile);
        std::fs::create_dir_all(&profile).unwrap();
        let child = Command::new(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &profile)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A process group, so that all of its processes can be killed together.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut browser = Self {
            child,
            profile,
            endpoint: String::new(),
        };
        browser.endpoint = browser.announced().await;
        Some(browser)
    }

    /// Reads its port and path from the file that it writes.
    async fn announced(&mut self) -> String {
        let file = self.profile.join("DevToolsActivePort");
        let started = Instant::now();
        loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Some((port, path)) = text.split_once('\n').filter(|(_, path)| path.contains('/'))
            {
                return format!("ws://127.0.0.1:{port}{}", path.trim());
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < MAX_WAIT,
                "Chromium does not come up: {ended:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Opens an empty page; all of them share their cookies.
    pub(crate) async fn page(&self) -> Page {
        self.open(false).await
    }

    /// Opens an empty page with cookies and storage of its own, as on another device.
    pub(crate) async fn other_device(&self) -> Page {
        self.open(true).await
    }

    async fn open(&self, is_other_device: bool) -> Page {
        let (socket, _) = connect_async(&self.endpoint).await.unwrap();
        let (sink, mut stream) = socket.split();
        let state = Arc::<State>::default();
        let reader = Arc::clone(&state);
        tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if let Message::Text(text) = message {
                    reader.take(serde_json::from_str(text.as_str()).unwrap_or_default());
                }
            }
        });
        let mut page = Page {
            sink: tokio::sync::Mutex::new(sink),
            session: None,
            state,
        };
        let mut target = json!({"url": "about:blank"});
        if is_other_device {
            let context = page.call("Target.createBrowserContext", json!({})).await;
            target["browserContextId"] = context["browserContextId"].clone();
        }
        let target = page.call("Target.createTarget", target).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = page.call("Target.attachToTarget", attach).await;
        page.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its processes may write for a moment longer.
        for _ in 0..20 {
            if std::fs::remove_dir_all(&self.profile).is_ok() || !self.profile.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The program in `CHROMIUM`, otherwise the one on the path.
fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM").filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .find_map(|name| {
            std::env::split_paths(&path)
                .map(|folder| folder.join(name))
                .find(|program| program.is_file())
        })
}

/// The messages received.
#[derive(Default)]
struct State {
    number: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    events: Mutex<Vec<Value>>,
}

impl State {
    fn take(&self, message: Value) {
        let completed = message["id"].as_u64();
        match completed.and_then(|id| self.waiting.lock().unwrap().remove(&id)) {
            Some(waiting) => drop(waiting.send(message)),
            None => self.events.lock().unwrap().push(message),
        }
    }
}

/// A page of the browser.
pub(crate) struct Page {
    sink: tokio::sync::Mutex<SplitSink<WebSocketStream<MaybeTlsStream<TcpStream>>, Message>>,
    session: Option<String>,
    state: Arc<State>,
}

impl Page {
    /// Sends a command of the protocol; returns its result.
    pub(crate) async fn call(&self, method: &str, parameters: Value) -> Value {
        let id = self.state.number.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.state.waiting.lock().unwrap().insert(id, sender);
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let message = Message::text(message.to_string());
        self.sink.lock().await.send(message).await.unwrap();
        let response = tokio::time::timeout(MAX_WAIT, receiver).await;
        let mut response = response
            .expect("Chromium responses")
            .expect("Chromium lives");
        assert!(response.get("error").is_none(), "{method}: {response}");
        response["result"].take()
    }

    /// The value of `script` in the page.
    pub(crate) async fn evaluate(&self, script: &str) -> Value {
        let parameters = json!({"expression": script, "returnByValue": true, "awaitPromise": true, "userGesture": true});
        let mut result = self.call("Runtime.evaluate", parameters).await;
        assert!(
            result.get("exceptionDetails").is_none(),
            "{script}: {result}"
        );
        result["result"]["value"].take()
    }

    /// Waits until `script` is true. Polls seldom, since each poll takes time from rendering.
    pub(crate) async fn until(&self, what: &str, script: &str) {
        let started = Instant::now();
        while self.evaluate(script).await != true {
            assert!(
                started.elapsed() < MAX_WAIT,
                "timed out: {what}; pending requests: {:?}",
                self.pending_requests()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Requests without a response.
    fn pending_requests(&self) -> Vec<String> {
        let ended: Vec<Value> = ["Network.loadingFinished", "Network.loadingFailed"]
            .iter()
            .flat_map(|name| self.events(name))
            .map(|event| event["requestId"].clone())
            .collect();
        self.events("Network.requestWillBeSent")
            .iter()
            .filter(|event| !ended.contains(&event["requestId"]))
            .map(|event| event["request"]["url"].to_string())
            .collect()
    }

    /// The parameters of all events of this name so far.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        let events = self.state.events.lock().unwrap();
        events
            .iter()
            .filter(|event| event["method"] == name)
            .map(|event| event["params"].clone())
            .collect()
    }

    /// Writes a picture of the page to `path`, as PNG.
    pub(crate) async fn screenshot(&self, path: &Path) {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let shot = self.call("Page.captureScreenshot", json!({})).await;
        let bytes = BASE64_STANDARD.decode(shot["data"].as_str().unwrap());
        std::fs::write(path, bytes.unwrap()).unwrap();
    }

    /// Panics if a request went to another host than that of `base`.
    pub(crate) fn assert_no_request_left(&self, base: &str) {
        let requests = self.events("Network.requestWillBeSent");
        assert!(requests.len() > 5, "{requests:?}");
        for request in requests {
            let url = request["request"]["url"].as_str().unwrap().to_owned();
            let stays = url.starts_with(&format!("{base}/"))
                || url.starts_with("data:")
                || url.starts_with("blob:");
            assert!(stays, "{url}");
        }
    }

    /// Panics if the console has an error, or a request failed.
    pub(crate) fn assert_no_errors(&self) {
        assert_eq!(self.events("Runtime.exceptionThrown"), [Value::Null; 0]);
        let said: Vec<Value> = self
            .events("Runtime.consoleAPICalled")
            .into_iter()
            .filter(|call| ["error", "assert"].contains(&call["type"].as_str().unwrap_or_default()))
            .collect();
        assert_eq!(said, [Value::Null; 0]);
        let logged: Vec<Value> = self
            .events("Log.entryAdded")
            .into_iter()
            .filter(|entry| entry["entry"]["level"] == "error")
            .collect();
        assert_eq!(logged, [Value::Null; 0]);
        let failed: Vec<Value> = self
            .events("Network.loadingFailed")
            .into_iter()
            .filter(|failure| failure["canceled"] != true)
            .collect();
        assert_eq!(failed, [Value::Null; 0]);
    }
}
