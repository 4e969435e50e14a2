//! An HTTP server for few and short questions, which whoever floods it gets little out of.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock, clock::DefaultClock};
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, Semaphore},
    time::{sleep, timeout},
};
use tracing::debug;

/// Connections at once. A newcomer takes the place of the oldest that has not said what it wants.
const CONNECTIONS: usize = 16;
/// Connections a second, and at once after a pause: each is one question.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();
/// From the first byte of a question to its last.
const QUESTION_LIMIT: Duration = Duration::from_secs(5);
/// From a connection to the end of its answer.
const CONNECTION_LIMIT: Duration = Duration::from_secs(20);
/// The longest question, in bytes: what hyper asks for at least.
const QUESTION_MAX: usize = 8 << 10;
/// A pause after the system had no descriptor or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub(super) trait Accept {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next one. Cancel-safe.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>>;
}

impl Accept for tokio::net::TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn accept(&self) -> io::Result<Self::Stream> {
        Ok(tokio::net::TcpListener::accept(self).await?.0)
    }
}

/// What is answered.
pub(super) trait Answer: Send + Sync + 'static {
    /// The page at `path`; nothing where there is none.
    fn page(&self, path: &str, accept: &str) -> Option<Page>;
}

/// A page.
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

impl Page {
    /// One line for people and programs.
    pub(super) fn line(status: StatusCode, text: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: format!("{text}\n").into(),
        }
    }
}

/// Answers one question on each connection, for ever.
pub(super) async fn serve<L: Accept>(listener: &L, pages: Arc<impl Answer>) {
    let pace = RateLimiter::direct(Quota::per_second(PER_SECOND));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let reading = Arc::<Reading>::default();
    loop {
        keep(&pace).await;
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                debug!(%error, "a connection was not accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if places.available_permits() == 0 {
            reading.end_oldest();
        }
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let (pages, question) = (pages.clone(), reading.enter());
        tokio::spawn(async move {
            let answering = timeout(CONNECTION_LIMIT, answer(stream, pages, &question));
            tokio::select! {
                _ = answering => {}
                () = question.ended.notified() => {}
            }
            drop(place);
        });
    }
}

async fn keep(pace: &DefaultDirectRateLimiter) {
    while let Err(until) = pace.check() {
        sleep(until.wait_time_from(DefaultClock::default().now())).await;
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    pages: Arc<impl Answer>,
    question: &Question,
) {
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        question.is_read.store(true, Relaxed);
        let response = respond(&request, &*pages);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let ended = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(QUESTION_LIMIT)
        .max_buf_size(QUESTION_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = ended {
        debug!(%error, "an HTTP connection ended early");
    }
}

fn respond(request: &Request<Incoming>, pages: &impl Answer) -> Response<Full<Bytes>> {
    let accept = request.headers().get(hyper::header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let page = match *request.method() {
        Method::GET | Method::HEAD => pages
            .page(request.uri().path(), accept.unwrap_or_default())
            .unwrap_or_else(|| Page::line(StatusCode::NOT_FOUND, "there is nothing here")),
        _ => Page::line(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD"),
    };
    let mut response = Response::new(Full::new(page.body));
    *response.status_mut() = page.status;
    let content_type = hyper::header::HeaderValue::from_static(page.content_type);
    let headers = response.headers_mut();
    headers.insert(hyper::header::CONTENT_TYPE, content_type);
    response
}

/// Connections that have not said what they want, the oldest first.
#[derive(Default)]
struct Reading(Mutex<VecDeque<Arc<Question>>>);

#[derive(Default)]
struct Question {
    is_read: AtomicBool,
    ended: Notify,
}

impl Reading {
    fn enter(&self) -> Arc<Question> {
        let question = Arc::<Question>::default();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|question| Arc::strong_count(question) > 1 && !question.is_read.load(Relaxed));
        all.push_back(question.clone());
        question
    }

    fn end_oldest(&self) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(oldest) = all.pop_front() {
            if Arc::strong_count(&oldest) > 1 && !oldest.is_read.load(Relaxed) {
                oldest.ended.notify_one();
                return;
            }
        }
    }
}
