//! A consumer: what it reads, who handles it, and by what rules.

pub(crate) mod run;

use crate::handler::{HandlerFn, HandlerFnWith, Route};
use crate::{Broker, Cx, Message, Result, Store};

/// Reads topics as a group and hands messages to handlers.
pub struct Consumer<S: Store = Broker> {
    routes: Vec<Route<S>>,
}

impl<S: Store> Consumer<S> {
    /// Adds what handles a type: `person::handler(..)`, `place::latest(..)`, or all of them, `every(..)`.
    #[must_use]
    pub fn register(mut self, routes: impl Into<Routes<S>>) -> Self {
        self.routes.extend(routes.into().0);
        self
    }

    /// Handles one version of a type: `.on(async |p: place::v1::Place, cx: &mut Cx| ..)`.
    #[must_use]
    pub fn on<M, F>(mut self, handler: F) -> Self
    where
        M: Message,
        F: AsyncFn(M, &mut Cx<S>) -> Result + for<'a> HandlerFn<'a, M, S>,
    {
        self.routes.push(Route::on(handler));
        self
    }

    /// As [`Consumer::on`], with state that the closure borrows.
    #[must_use]
    pub fn on_with<T, M, F>(mut self, state: T, handler: F) -> Self
    where
        T: Send + Sync + 'static,
        M: Message,
        F: AsyncFn(&T, M, &mut Cx<S>) -> Result + for<'a> HandlerFnWith<'a, T, M, S>,
    {
        self.routes.push(Route::on_with(state, handler));
        self
    }
}

/// One route or several.
pub struct Routes<S: Store>(Vec<Route<S>>);

impl<S: Store> From<Route<S>> for Routes<S> {
    fn from(route: Route<S>) -> Self {
        Self(vec![route])
    }
}

impl<S: Store, const N: usize> From<[Route<S>; N]> for Routes<S> {
    fn from(routes: [Route<S>; N]) -> Self {
        Self(routes.into())
    }
}

impl<S: Store> From<Vec<Route<S>>> for Routes<S> {
    fn from(routes: Vec<Route<S>>) -> Self {
        Self(routes)
    }
}
