//! Mail by SMTP: a small server on a socket receives the link of a sign-up; one that refuses or is silent disturbs nobody.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use chassis::testing::eventually;
use serde_json::Value;
use sqlx::PgPool;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::stage::{MovieService, PASSWORD, TestApp};

/// The behaviour of the server.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    /// Refuses every recipient.
    Refusing,
    /// Accepts connections and says nothing.
    Silent,
}

/// An SMTP server (RFC 5321); it runs until the test ends.
struct SmtpServer {
    url: String,
    /// The last mail: envelope and message.
    mail: watch::Receiver<String>,
}

impl SmtpServer {
    async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (sender, mail) = watch::channel(String::new());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, mood, sender.clone()));
            }
        });
        Self {
            url: format!("smtp://127.0.0.1:{port}"),
            mail,
        }
    }
}

async fn serve(stream: TcpStream, mood: Mood, mail: watch::Sender<String>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    if mood == Mood::Silent {
        // Until the client gives up.
        let mut rest = String::new();
        stream.read_line(&mut rest).await?;
        return Ok(());
    }
    stream.write_all(b"220 test ESMTP\r\n").await?;
    let (mut text, mut is_message) = (String::new(), false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        text.push_str(&line);
        let command = line.trim_end().to_ascii_uppercase();
        let reply = match command.split(' ').next().unwrap_or_default() {
            "." if is_message => {
                is_message = false;
                mail.send_replace(std::mem::take(&mut text));
                "250 accepted"
            }
            _ if is_message => continue,
            "EHLO" => "250-test\r\n250 8BITMIME",
            "RCPT" if mood == Mood::Refusing => "550 5.1.1 no such mailbox",
            "DATA" => {
                is_message = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
}

async fn app(pool: &PgPool, movies: &MovieService, server: &SmtpServer) -> TestApp {
    let settings = [
        ("AUTH_MODE", "jwt"),
        ("SMTP_URL", server.url.as_str()),
        ("MAIL_FROM", "Marquee <no-reply@marquee.example.org>"),
        ("PUBLIC_URL", "https://marquee.example.org"),
    ];
    TestApp::with(pool, movies, &settings)
}

#[sqlx::test]
async fn a_sign_up_sends_its_link_by_smtp(pool: PgPool) {
    let movies = MovieService::start().await;
    let server = SmtpServer::start(Mood::Well).await;
    let app = app(&pool, &movies, &server).await;
    app.account("anna").await;
    eventually("the mail", async || !server.mail.borrow().is_empty()).await;
    // Quoted-printable (RFC 2045, 6.7), if the mail is.
    let mail = server
        .mail
        .borrow()
        .replace("=\r\n", "")
        .replace("=3D", "=");
    for part in [
        "MAIL FROM:<no-reply@marquee.example.org>",
        "RCPT TO:<anna@example.org>",
        "Subject: Verify your e-mail address",
        "https://marquee.example.org/api/v1/auth/verify-email?token=",
    ] {
        assert!(mail.contains(part), "{part} in {mail}");
    }
    let (_, path) = mail.split_once("marquee.example.org/").expect("a link");
    let path = path.split_whitespace().next().expect("a link");
    let verified = app.get(&format!("/{path}")).await.expect(200);
    assert_eq!(verified["verified"], true);
}

#[sqlx::test]
async fn a_server_that_refuses_or_is_silent_delays_nobody(pool: PgPool) {
    let movies = MovieService::start().await;
    for (mood, name) in [(Mood::Refusing, "anna"), (Mood::Silent, "berta")] {
        let server = SmtpServer::start(mood).await;
        let app = app(&pool, &movies, &server).await;
        let started = Instant::now();
        let id = app.account(name).await;
        assert!(started.elapsed() < Duration::from_secs(5));
        app.log_in(name, PASSWORD).await.expect(200);
        // The link can be requested again.
        let path = format!("/api/v1/users/{id}/email-verification");
        assert_eq!(app.post(&path, Value::Null).await.status, 204);
        assert!(server.mail.borrow().is_empty());
    }
    // Nothing listens.
    let server = SmtpServer {
        url: "smtp://127.0.0.1:1".to_owned(),
        mail: watch::channel(String::new()).1,
    };
    app(&pool, &movies, &server).await.account("carl").await;
}
