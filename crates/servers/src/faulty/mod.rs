//! A Kinesis in this process, behind a layer that counts calls and fails on purpose.
//!
//! The server is ferrokinesis, which keeps streams in memory. In front of it a layer sees every request and every
//! answer: it counts who reads which shard how often, and does to both what a network and a busy service do.

mod admin;
mod layer;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use ferrokinesis::store::StoreOptions;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use admin::Admin;
pub use layer::{Faults, Opening};

use crate::{Error, Result};

/// The only region there is.
pub const REGION: &str = "us-east-1";

/// A server on a free port of 127.0.0.1. It ends when it is dropped.
pub struct Kinesis {
    address: SocketAddr,
    faults: Arc<Faults>,
    accepting: JoinHandle<()>,
}

impl Kinesis {
    /// Starts a server without streams.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(Error::io("listening on 127.0.0.1"))?;
        let address = listener
            .local_addr()
            .map_err(Error::io("asking for the port"))?;
        let options = StoreOptions {
            create_stream_ms: 0,
            delete_stream_ms: 0,
            update_stream_ms: 0,
            shard_limit: 1_000,
            ..StoreOptions::default()
        };
        let (app, _store) = ferrokinesis::create_app(options);
        // PutRecords takes 10 MiB, which base64 makes a third more.
        let app = app.layer(DefaultBodyLimit::max(16 << 20));
        let faults = Arc::new(Faults::default());
        let layer = Arc::new(layer::Layer::new(app, faults.clone()));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let layer = layer.clone();
                // Small answers go out at once.
                let _ = stream.set_nodelay(true);
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let layer = layer.clone();
                        async move { layer.serve(request).await }
                    });
                    // An error is a connection that the layer broke, or a client that left.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self {
            address,
            faults,
            accepting,
        })
    }

    /// Where clients reach it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it does wrong, and what it counted.
    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// Makes, changes and deletes streams.
    pub fn admin(&self) -> Admin {
        Admin::at(&self.endpoint())
    }
}

impl Drop for Kinesis {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
