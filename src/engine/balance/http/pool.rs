//! Connections to one replica, kept between requests.
//!
//! A *link* carries one request at a time over HTTP/1.1 and includes the future that moves its
//! bytes; whoever holds the link drives it. Nobody drives a pooled one; a sweep looks for those the
//! replica closed. A *shared* link is one HTTP/2 connection that carries many requests and is
//! driven by a task of its own.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::body::RequestBody;
use crate::engine::balance::limits::{self, uptime};
use crate::engine::balance::port::{Port, Tasks};

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;
type Multiplexed = http2::SendRequest<RequestBody>;

/// One way to a replica.
pub struct Link {
    wire: Wire,
    idle_since: u64,
}

enum Wire {
    Own(http1::SendRequest<RequestBody>, Option<Driver>),
    Shared(Multiplexed),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("shared", &self.is_shared()).finish_non_exhaustive()
    }
}

/// Why a request got no answer.
#[derive(Debug)]
pub enum Silence {
    /// Nothing of it was sent; here it is back.
    Unsent(Box<Request<RequestBody>>),
    /// It was sent, at least in part; no answer could be read.
    Broken(hyper::Error),
    /// It was sent; no answer came in time.
    Late,
}

impl Link {
    /// Connects.
    pub async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = connect(address).await?;
        let (sender, connection) = http1::Builder::new()
            .max_headers(limits::ANSWER_HEAD.0)
            .max_header_size(limits::ANSWER_HEAD.1)
            .max_buf_size(limits::ANSWER_HEAD.1)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        let driver: Driver = Box::pin(connection.with_upgrades());
        Ok(Self { wire: Wire::Own(sender, Some(driver)), idle_since: 0 })
    }

    /// Whether it is one stream of an HTTP/2 connection.
    pub fn is_shared(&self) -> bool {
        matches!(self.wire, Wire::Shared(_))
    }

    /// Moves bytes as far as possible.
    pub fn drive(&mut self, cx: &mut Context<'_>) {
        if let Wire::Own(_, driver) = &mut self.wire {
            drive(driver, cx);
        }
    }

    /// Sends a request and waits for the head of the answer.
    pub async fn exchange(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Silence> {
        let (sender, driver) = match &mut self.wire {
            Wire::Own(sender, driver) => (sender, driver),
            Wire::Shared(sender) => {
                let answer = sender.try_send_request(request);
                return match tokio::time::timeout(limits::ANSWER, answer).await {
                    Ok(answer) => answer.map_err(silence),
                    Err(_) => Err(Silence::Late),
                };
            }
        };
        let mut answer = pin!(sender.try_send_request(request));
        let deadline = limits::uptime_in(limits::ANSWER);
        poll_fn(|cx| {
            drive(driver, cx);
            match answer.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(answer.map_err(silence)),
                Poll::Pending if uptime() >= deadline => Poll::Ready(Err(Silence::Late)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    fn is_ready(&self) -> bool {
        matches!(&self.wire, Wire::Own(sender, Some(_)) if sender.is_ready())
    }

    fn is_usable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.is_ready()
    }
}

fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if let Some(running) = driver
        && running.as_mut().poll(cx).is_ready()
    {
        *driver = None;
    }
}

fn silence(mut error: TrySendError<Request<RequestBody>>) -> Silence {
    match error.take_message() {
        Some(request) => Silence::Unsent(Box::new(request)),
        None => Silence::Broken(error.into_error()),
    }
}

/// Opens a TCP connection within [`limits::CONNECT`].
pub async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = tokio::time::timeout(limits::CONNECT, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Idle links, the latest used last, and the shared one.
#[derive(Debug, Default)]
pub struct Pool {
    idle: Mutex<Vec<Link>>,
    shared: Mutex<Option<Multiplexed>>,
}

impl Pool {
    fn links(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn multiplexed(&self) -> std::sync::MutexGuard<'_, Option<Multiplexed>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shared link, if it is open.
    pub fn get_shared(&self) -> Option<Link> {
        let sender = self.multiplexed().clone().filter(|sender| !sender.is_closed())?;
        Some(Link { wire: Wire::Shared(sender), idle_since: 0 })
    }

    /// Opens the shared link anew; `port` runs it.
    pub async fn open_shared(
        &self,
        address: SocketAddr,
        port: &Arc<Port>,
    ) -> std::io::Result<Link> {
        let stream = connect(address).await?;
        let (sender, connection) = http2::Builder::new(Tasks(port.clone()))
            .timer(TokioTimer::new())
            .keep_alive_interval(limits::PING)
            .keep_alive_timeout(limits::PING)
            .adaptive_window(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        port.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "a connection to a replica broke off");
            }
        });
        *self.multiplexed() = Some(sender.clone());
        Ok(Link { wire: Wire::Shared(sender), idle_since: 0 })
    }

    /// A link that was idle for less than `age`.
    pub fn get(&self, age: Duration) -> Option<Link> {
        let oldest = uptime().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(0));
        loop {
            let mut link = {
                let mut links = self.links();
                if links.last().is_none_or(|link| link.idle_since < oldest) {
                    return None;
                }
                links.pop()?
            };
            if link.is_usable() {
                return Some(link);
            }
        }
    }

    /// Keeps a link that can take another request.
    pub fn put(&self, mut link: Link) {
        if !link.is_ready() {
            return;
        }
        link.idle_since = uptime();
        let mut links = self.links();
        if links.len() < limits::IDLE_LINKS {
            links.push(link);
        }
    }

    /// Closes the idle ones; a shared one ends with its last request.
    pub fn clear(&self) {
        let links = std::mem::take(&mut *self.links());
        drop(links);
        *self.multiplexed() = None;
    }

    /// Closes those that are too old or that the replica closed.
    pub fn sweep(&self) {
        let age = u64::try_from(limits::IDLE_LINK_AGE.as_millis()).unwrap_or(0);
        let oldest = uptime().saturating_sub(age);
        self.links().retain_mut(|link| link.idle_since >= oldest && link.is_usable());
        self.multiplexed().take_if(|sender| sender.is_closed());
    }
}
