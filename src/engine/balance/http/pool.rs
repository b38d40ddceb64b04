//! Connections to one replica, kept between requests.
//!
//! A *link* is one HTTP/1.1 connection together with the future that moves its bytes; whoever
//! holds the link drives it. Nobody drives a pooled one; a sweep looks for those the replica
//! closed.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::body::RequestBody;
use crate::engine::balance::limits::{self, uptime};

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// One connection to a replica.
pub struct Link {
    sender: http1::SendRequest<RequestBody>,
    driver: Option<Driver>,
    idle_since: u64,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("open", &self.driver.is_some()).finish_non_exhaustive()
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
        Ok(Self { sender, driver: Some(driver), idle_since: 0 })
    }

    /// Moves bytes as far as possible.
    pub fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && driver.as_mut().poll(cx).is_ready()
        {
            self.driver = None;
        }
    }

    /// Sends a request and waits for the head of the answer.
    pub async fn exchange(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Silence> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let deadline = limits::uptime_in(limits::ANSWER);
        let driver = &mut self.driver;
        poll_fn(|cx| {
            if let Some(running) = driver
                && running.as_mut().poll(cx).is_ready()
            {
                *driver = None;
            }
            match answer.as_mut().poll(cx) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(mut error)) => Poll::Ready(Err(match error.take_message() {
                    Some(request) => Silence::Unsent(Box::new(request)),
                    None => Silence::Broken(error.into_error()),
                })),
                Poll::Pending if uptime() >= deadline => Poll::Ready(Err(Silence::Late)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    fn is_usable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }
}

/// Opens a TCP connection within [`limits::CONNECT`].
pub async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = tokio::time::timeout(limits::CONNECT, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Idle links, the latest used first.
#[derive(Debug, Default)]
pub struct Pool(Mutex<Vec<Link>>);

impl Pool {
    fn links(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        if link.driver.is_none() || !link.sender.is_ready() {
            return;
        }
        link.idle_since = uptime();
        let mut links = self.links();
        if links.len() < limits::IDLE_LINKS {
            links.push(link);
        }
    }

    /// Closes all.
    pub fn clear(&self) {
        let links = std::mem::take(&mut *self.links());
        drop(links);
    }

    /// Closes those that are too old or that the replica closed.
    pub fn sweep(&self) {
        let age = u64::try_from(limits::IDLE_LINK_AGE.as_millis()).unwrap_or(0);
        let oldest = uptime().saturating_sub(age);
        self.links().retain_mut(|link| link.idle_since >= oldest && link.is_usable());
    }
}
