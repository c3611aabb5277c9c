//! Finds the route of a request by its method and path. Built once; each request of [`crate::pipeline`] reads it.

use hyper::{Method, header::HeaderValue};

use super::{ROUTES, Route};

/// [`ROUTES`], indexed by path.
pub(crate) struct Router {
    router: matchit::Router<usize>,
    paths: Vec<Path>,
}

/// One path with its routes.
struct Path {
    pattern: &'static str,
    routes: Vec<&'static Route>,
    allow: HeaderValue,
}

/// A path that matches.
#[derive(Clone, Copy)]
pub(crate) struct Match<'t, 'p> {
    /// The index of the path.
    pub(crate) path: usize,
    /// `None`: the path has no route for the method.
    pub(crate) route: Option<&'static Route>,
    /// The value of the first path parameter; empty if there is none.
    pub(crate) parameter: &'p str,
    /// The methods of the path.
    pub(crate) allow: &'t HeaderValue,
}

impl Router {
    /// Indexes [`ROUTES`].
    ///
    /// # Panics
    /// Panics if two patterns conflict, which the tests exclude.
    pub(crate) fn new() -> Self {
        let mut paths: Vec<Path> = Vec::new();
        for route in ROUTES {
            match paths.iter_mut().find(|path| path.pattern == route.path) {
                Some(path) => path.routes.push(route),
                None => paths.push(Path {
                    pattern: route.path,
                    routes: vec![route],
                    allow: HeaderValue::from_static(""),
                }),
            }
        }
        let mut router = matchit::Router::new();
        for (index, path) in paths.iter_mut().enumerate() {
            let methods: Vec<&str> = path
                .routes
                .iter()
                .map(|route| match route.method {
                    Method::GET => "GET, HEAD",
                    ref other => other.as_str(),
                })
                .collect();
            path.allow = HeaderValue::try_from(methods.join(", ")).expect("names of methods");
            router
                .insert(path.pattern, index)
                .expect("patterns that do not conflict");
            // A catch-all parameter does not match the empty path.
            if let Some(prefix) = path.pattern.strip_suffix("{*file}") {
                router.insert(prefix, index).expect("another path");
            }
        }
        Self { router, paths }
    }

    /// Returns the match of `path`, which has no trailing slash, with its route for `method`.
    pub(crate) fn find<'t, 'p>(&'t self, method: &Method, path: &'p str) -> Option<Match<'t, 'p>> {
        let matched = self.router.at(path).ok()?;
        let Path { routes, allow, .. } = &self.paths[*matched.value];
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let route = routes.iter().find(|route| route.method == *method);
        Some(Match {
            path: *matched.value,
            route: route.copied(),
            parameter: matched.params.iter().next().map_or("", |(_, value)| value),
            allow,
        })
    }

    /// True if responses to requests for the path with the index `path` may be stored.
    pub(crate) fn is_shared(&self, path: usize) -> bool {
        let path = self.paths.get(path);
        path.is_some_and(|path| path.routes.iter().any(|route| route.shared))
    }

    /// The patterns of all paths, by index.
    pub(crate) fn patterns(&self) -> impl ExactSizeIterator<Item = &'static str> {
        self.paths.iter().map(|path| path.pattern)
    }
}
