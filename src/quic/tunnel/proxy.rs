//! HTTP proxies between this machine and the relay: `CONNECT` (RFC 9110, section 9.3.6), and Basic
//! authentication. NTLM, Kerberos, SOCKS, proxies reached by TLS and PAC files are not supported.

use std::io;

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::http::Uri;

/// The longest answer to `CONNECT` that is read, in bytes.
const ANSWER_MAX: usize = 8 << 10;
/// The most headers in it.
const HEADERS_MAX: usize = 64;
/// Where a proxy listens whose address names no port.
const DEFAULT_PORT: u16 = 80;

/// Which proxy is used for which host.
#[derive(Debug, Default)]
pub struct Proxies(Option<Matcher>);

/// Why a proxy did not let us through.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Nothing but HTTP proxies are spoken to.
    #[error("the proxy's address begins with {0}://, supported is http://")]
    Scheme(String),
    /// The proxy asks for authentication, and not Basic with what we have.
    #[error(
        "the proxy asks for authentication; supported is Basic, as in http://USER:PASSWORD@HOST:PORT"
    )]
    Authentication,
    /// The proxy said no.
    #[error("the proxy refuses ({0})")]
    Refused(u16),
    /// What answered is no HTTP proxy.
    #[error("the proxy's answer is no HTTP")]
    NoHttp,
    /// The connection to the proxy failed.
    #[error("the proxy: {0}")]
    Io(#[from] io::Error),
}

impl Proxies {
    /// No proxy for anything.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// From `HTTPS_PROXY` and `NO_PROXY`, as curl reads them.
    #[must_use]
    pub fn from_env() -> Self {
        let variable = |names: [&str; 2]| {
            let mut values = names
                .into_iter()
                .filter_map(|name| std::env::var(name).ok());
            values.find(|value| !value.is_empty()).unwrap_or_default()
        };
        Self::new(
            &variable(["https_proxy", "HTTPS_PROXY"]),
            &variable(["no_proxy", "NO_PROXY"]),
        )
    }

    /// One proxy for all hosts but those in a list, which is written like `NO_PROXY`.
    #[must_use]
    pub fn new(proxy: &str, except: &str) -> Self {
        if proxy.is_empty() {
            return Self::none();
        }
        let builder = Matcher::builder().https(proxy.to_owned());
        Self(Some(builder.no(except.to_owned()).build()))
    }

    /// The proxy on the way to this host, if there is one.
    pub(super) fn on_the_way_to(&self, host: &str, port: u16) -> Result<Option<Proxy>, ProxyError> {
        let uri: Option<Uri> = format!("https://{}", authority(host, port)).parse().ok();
        let Some(found) = self
            .0
            .as_ref()
            .zip(uri)
            .and_then(|(m, uri)| m.intercept(&uri))
        else {
            return Ok(None);
        };
        match found.uri().scheme_str() {
            None | Some("http") => Ok(Some(Proxy(found))),
            Some(other) => Err(ProxyError::Scheme(other.to_owned())),
        }
    }
}

/// A host and a port as HTTP writes them: IPv6 in brackets.
pub(super) fn authority(host: &str, port: u16) -> String {
    // A scope is this machine's own matter, and no part of a URL (RFC 9844).
    let host = host.split('%').next().unwrap_or(host);
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// One proxy. No `Debug`: its password is inside.
pub(super) struct Proxy(Intercept);

impl Proxy {
    /// Where it listens.
    pub(super) fn address(&self) -> (String, u16) {
        let uri = self.0.uri();
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        (host.to_owned(), uri.port_u16().unwrap_or(DEFAULT_PORT))
    }

    /// Has the proxy connect this stream to a host.
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub(super) async fn connect(
        &self,
        stream: &mut TcpStream,
        host: &str,
        port: u16,
    ) -> Result<(), ProxyError> {
        let to = authority(host, port);
        let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n").into_bytes();
        if let Some(basic) = self.0.basic_auth() {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(basic.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await?;
        match answer(stream).await? {
            200..=299 => Ok(()),
            // tinyproxy says 401, which RFC 9110 keeps for servers.
            401 | 407 => Err(ProxyError::Authentication),
            other => Err(ProxyError::Refused(other)),
        }
    }
}

/// Reads the head of the answer, and not a byte of what follows: the tunnel begins there.
async fn answer(stream: &mut TcpStream) -> Result<u16, ProxyError> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == ANSWER_MAX {
            return Err(ProxyError::NoHttp);
        }
        // Byte by byte, some hundred times once: the answer has no length that could be known before.
        head.push(stream.read_u8().await?);
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(&head) {
        Ok(httparse::Status::Complete(_)) => response.code.ok_or(ProxyError::NoHttp),
        _ => Err(ProxyError::NoHttp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn hosts_in_the_list_of_exceptions_are_reached_without_the_proxy() {
        let proxies = Proxies::new(
            "http://user:word@proxy.example:3128",
            "intern.example,10.0.0.0/8",
        );
        let address = |host| {
            let found = proxies.on_the_way_to(host, 443).unwrap();
            found.map(|proxy| proxy.address())
        };
        let proxy = Some(("proxy.example".to_owned(), 3128));
        assert_eq!(address("relay.example"), proxy);
        assert_eq!(address("2001:db8::1"), proxy);
        assert_eq!(address("relay.intern.example"), None);
        assert_eq!(address("10.1.2.3"), None);
    }

    #[test]
    fn a_proxy_that_is_reached_by_tls_is_named_as_unsupported() {
        let proxies = Proxies::new("https://proxy.example", "");
        let found = proxies.on_the_way_to("relay.example", 443);
        assert!(matches!(found, Err(ProxyError::Scheme(scheme)) if scheme == "https"));
    }

    /// A proxy that answers `answer`, and what it was asked.
    async fn ask(proxy: &str, answer: &'static [u8]) -> (Result<(), ProxyError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        let proxies = Proxies::new(&format!("http://{proxy}{address}"), "");
        let proxy = proxies.on_the_way_to("::1", 443).unwrap().unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let outcome = proxy.connect(&mut stream, "::1", 443).await;
        (outcome, serving.await.unwrap())
    }

    #[tokio::test]
    async fn a_proxy_is_asked_as_the_rfc_says_and_shown_the_password() {
        let (outcome, request) = ask("user:word@", b"HTTP/1.1 200 Fine\r\nA: b\r\n\r\n").await;
        outcome.unwrap();
        assert_eq!(
            request,
            "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nProxy-Authorization: Basic dXNlcjp3b3Jk\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn what_a_proxy_refuses_is_told_apart() {
        let (outcome, _) = ask("", b"HTTP/1.1 407 Who?\r\n\r\n").await;
        assert!(matches!(outcome, Err(ProxyError::Authentication)));
        let (outcome, _) = ask("", b"HTTP/1.1 403 No\r\n\r\n").await;
        assert!(matches!(outcome, Err(ProxyError::Refused(403))));
        let (outcome, _) = ask("", b"SSH-2.0-OpenSSH\r\n\r\n").await;
        assert!(matches!(outcome, Err(ProxyError::NoHttp)));
        let (outcome, _) = ask("", b"HTTP/1.1 200").await;
        assert!(matches!(outcome, Err(ProxyError::Io(_))));
    }
}
