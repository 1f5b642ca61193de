//! The table of routes. A route comes in by [`Routes::read`], [`Routes::write`] or one of the
//! others here, and by nothing else: each of them puts the gate before the handler and what the
//! gate does into the OpenAPI document.

use axum::{Router, middleware};
use palisade_people::ActionInfo;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::{
    PeopleState,
    access::{Access, Scope},
    document,
    gate::{Gate, gate},
    target::Target,
};

/// How a route changes things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Not at all.
    Reads,
    /// By an act, which is recorded.
    Writes {
        /// Whether the handler reads the body as it comes, instead of the gate.
        streamed: bool,
    },
}

/// What stands before a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) access: Access,
    pub(crate) effect: Effect,
    /// What a caller does there, as roles and the ledger name it.
    pub(crate) action: &'static str,
    pub(crate) target: Target,
}

impl Rule {
    /// What a caller does there, as the ledger names it.
    pub(crate) fn act(&self) -> String {
        self.action.to_owned()
    }
}

/// Routes, each with its rule.
#[derive(Default)]
pub(crate) struct Routes(Vec<(Rule, UtoipaMethodRouter<PeopleState>)>);

impl Routes {
    /// Routes that anybody may use.
    pub(crate) fn public(
        self,
        action: &'static str,
        routes: UtoipaMethodRouter<PeopleState>,
    ) -> Self {
        self.with(Access::Public, Effect::Reads, action, routes)
    }

    /// Routes that see for themselves who comes: by what the body holds.
    pub(crate) fn by_body(
        self,
        action: &'static str,
        routes: UtoipaMethodRouter<PeopleState>,
    ) -> Self {
        self.with(Access::Body, Effect::Reads, action, routes)
    }

    /// Routes that read, for any caller.
    pub(crate) fn token(
        self,
        action: &'static str,
        routes: UtoipaMethodRouter<PeopleState>,
    ) -> Self {
        self.with(Access::Token, Effect::Reads, action, routes)
    }

    /// Routes that read, for callers with a scope.
    pub(crate) fn read(
        self,
        scope: Scope,
        action: &'static str,
        routes: UtoipaMethodRouter<PeopleState>,
    ) -> Self {
        self.with(Access::Scoped(scope), Effect::Reads, action, routes)
    }

    /// Routes that read, for callers with a scope, or for anybody where the configuration publishes them.
    pub(crate) fn published(
        self,
        scope: Scope,
        action: &'static str,
        routes: UtoipaMethodRouter<PeopleState>,
    ) -> Self {
        self.with(Access::Published(scope), Effect::Reads, action, routes)
    }

    /// A route that does an act, for callers with a scope.
    pub(crate) fn write(
        self,
        scope: Scope,
        act: &'static str,
        routes: UtoipaMethodRouter<PeopleState>,
    ) -> Self {
        let streamed = false;
        self.with(
            Access::Scoped(scope),
            Effect::Writes { streamed },
            act,
            routes,
        )
    }

    /// A route that does an act on what is the caller's own, for any caller.
    pub(crate) fn own_write(
        self,
        act: &'static str,
        routes: UtoipaMethodRouter<PeopleState>,
    ) -> Self {
        let streamed = false;
        self.with(Access::Token, Effect::Writes { streamed }, act, routes)
    }

    /// A route that does an act and reads a large body as it comes.
    pub(crate) fn streamed_write(
        self,
        scope: Scope,
        act: &'static str,
        routes: UtoipaMethodRouter<PeopleState>,
    ) -> Self {
        let streamed = true;
        self.with(
            Access::Scoped(scope),
            Effect::Writes { streamed },
            act,
            routes,
        )
    }

    fn with(
        mut self,
        access: Access,
        effect: Effect,
        action: &'static str,
        (schemas, mut paths, methods): UtoipaMethodRouter<PeopleState>,
    ) -> Self {
        let path = paths.paths.keys().next().map_or("", String::as_str);
        let target = Target::of(action, path);
        let rule = Rule {
            access,
            effect,
            action,
            target,
        };
        document::describe(&mut paths, rule);
        self.0.push((rule, (schemas, paths, methods)));
        self
    }

    /// What roles may be about: the actions of all routes that ask for a scope.
    pub(crate) fn actions(&self) -> Vec<ActionInfo> {
        let scoped = self.0.iter().filter_map(|(rule, (_, paths, _))| {
            let (Access::Scoped(scope) | Access::Published(scope)) = rule.access else {
                return None;
            };
            Some(ActionInfo {
                name: rule.action,
                scope: scope.as_str(),
                about: document::summary(paths),
                on_device: rule.target == Target::Device,
            })
        });
        scoped.collect()
    }

    /// All of these and those.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The document of all routes.
    pub(crate) fn document(self) -> utoipa::openapi::OpenApi {
        let start = OpenApiRouter::with_openapi(document::head());
        let routes = self.0.into_iter().map(|(_, routes)| routes);
        let mut document = routes
            .fold(start, OpenApiRouter::<PeopleState>::routes)
            .into_openapi();
        document::finish(&mut document);
        document
    }

    /// The router of all routes, each behind its gate.
    pub(crate) fn router(self, state: &PeopleState) -> Router<PeopleState> {
        let mut router = OpenApiRouter::<PeopleState>::default();
        for (rule, (schemas, paths, methods)) in self.0 {
            let gated = Gate::new(state.clone(), rule);
            let methods = methods.route_layer(middleware::from_fn_with_state(gated, gate));
            router = router.routes((schemas, paths, methods));
        }
        router.into()
    }
}
