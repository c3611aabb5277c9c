// Calls a running platform with the client that openapi-typescript and openapi-fetch make of openapi/marquee.json.
// Arguments: the gateway's URL, a token. Compiling it checks the types of requests and responses.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./marquee.js";

const [, , baseUrl = "", token = ""] = process.argv;
const api = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

/** The data of a response, which must be a success. */
async function ok<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
    const { data, error, response } = await call;
    assert.ok(data !== undefined, `${response.url}: ${response.status} ${JSON.stringify(error)}`);
    return data;
}

const page = await ok(api.GET("/api/v1/movies", { params: { query: { page_size: 3, sort_by: "popularity" } } }));
assert.equal(page.data.length, 3);
const [first, second, third] = page.data.map((movie) => movie.id) as [number, number, number];

const movie = await ok(api.GET("/api/v1/movies/{id}", { params: { path: { id: String(first) }, query: { include: "credits" } } }));
assert.equal(movie.id, first);
assert.ok(movie.title.length > 0 && Array.isArray(movie.genres));

const name = `typescript-${Date.now()}`;
const user = await ok(api.POST("/api/v1/users", { body: { username: name, email: `${name}@example.org` } }));
const id = user.id;

const liked = await ok(api.POST("/api/v1/users/{id}/interactions", {
    params: { path: { id } },
    body: { movie_id: first, interaction_type: "like" },
}));
assert.equal(liked.interaction_type, "like");

const batch = await ok(api.POST("/api/v1/interactions/batch", {
    body: {
        interactions: [
            { user_id: id, movie_id: second, interaction_type: "watched" },
            { user_id: id, movie_id: 999_999_999, interaction_type: "like" },
        ],
    },
}));
assert.deepEqual([batch.succeeded, batch.failed], [1, 1]);
assert.equal(batch.results[1]?.error, "movie not found");

const rating = await ok(api.PUT("/api/v1/users/{id}/ratings/{movie_id}", {
    params: { path: { id, movie_id: third } },
    body: { rating: 4.5 },
}));
assert.equal(rating.rating, 4.5);

const plain = await ok(api.GET("/api/v1/users/{id}/recommendations", { params: { path: { id }, query: { limit: 5 } } }));
const [recommended] = plain.recommendations;
assert.ok(recommended && recommended.because === undefined);
const explained = await ok(api.GET("/api/v1/users/{id}/recommendations", {
    params: { path: { id }, query: { limit: 5, explain: true, strategy: "blend" } },
}));
assert.ok(explained.recommendations[0]?.contributions?.length);

const preview = await ok(api.POST("/api/v1/recommendations/preview", { body: { likes: [first], limit: 3 } }));
assert.equal(preview.recommendations.length, 3);

const { error, response } = await api.GET("/api/v1/movies/{id}", { params: { path: { id: "999999999" } } });
const problem: components["schemas"]["Problem"] | undefined = error;
assert.equal(response.status, 404);
assert.equal(problem?.error, "movie not found");

const keys = await ok(createClient<paths>({ baseUrl }).GET("/.well-known/jwks.json"));
assert.ok(Array.isArray(keys.keys));
console.log("TypeScript client: 11 calls as documented");
