"""Calls a running platform with the client that openapi-python-client makes of openapi/marquee.json.

Arguments: the gateway's URL, a token. The generated models refuse responses that lack a required field.
"""

import importlib
import pkgutil
import sys
import time

import marquee_client
from marquee_client import AuthenticatedClient, Client
from marquee_client.api.auth import jwks
from marquee_client.api.interactions import create_interaction, record_batch
from marquee_client.api.movies import get_movie, list_movies
from marquee_client.api.ratings import set_rating
from marquee_client.api.recommendations import create_preview, list_recommendations
from marquee_client.api.users import create_user, get_user
from marquee_client.models import (
    BatchRequest,
    BatchResponse,
    CreateInteractionRequest,
    CreateUserRequest,
    Event,
    InteractionResponse,
    InteractionType,
    JwksResponse,
    MovieResponse,
    MoviesResponse,
    PreviewRequest,
    PreviewResponse,
    Problem,
    RatingResponse,
    RecommendationsResponse,
    SetRatingRequest,
    UserResponse,
)
from marquee_client.types import UNSET

BASE, TOKEN = sys.argv[1:3]
client = AuthenticatedClient(base_url=BASE, token=TOKEN, raise_on_unexpected_status=True)


def expect(kind, value):
    assert isinstance(value, kind), value
    return value


for module in pkgutil.walk_packages(marquee_client.__path__, "marquee_client."):
    importlib.import_module(module.name)

page = expect(MoviesResponse, list_movies.sync(client=client, page_size=3))
first, second, third = [movie.id for movie in page.data]
movie = expect(MovieResponse, get_movie.sync(str(first), client=client, include="credits"))
assert movie.id == first and movie.title

name = f"python-{time.time_ns()}"
new_user = CreateUserRequest(username=name, email=f"{name}@example.org")
user = expect(UserResponse, create_user.sync(client=client, body=new_user)).id
assert expect(UserResponse, get_user.sync(user, client=client)).username == name

like = CreateInteractionRequest(movie_id=first, interaction_type=InteractionType.LIKE)
liked = expect(InteractionResponse, create_interaction.sync(user, client=client, body=like))
assert liked.interaction_type == InteractionType.LIKE
events = [
    Event(user_id=user, movie_id=second, interaction_type=InteractionType.WATCHED),
    Event(user_id=user, movie_id=999_999_999, interaction_type=InteractionType.LIKE),
]
batch = expect(BatchResponse, record_batch.sync(client=client, body=BatchRequest(interactions=events)))
assert (batch.succeeded, batch.failed) == (1, 1)
assert batch.results[1].error == "movie not found"

rating = expect(RatingResponse, set_rating.sync(user, third, client=client, body=SetRatingRequest(rating=4.5)))
assert rating.rating == 4.5

plain = expect(RecommendationsResponse, list_recommendations.sync(user, client=client, limit=5))
assert plain.recommendations and plain.recommendations[0].because is UNSET
explained = expect(RecommendationsResponse, list_recommendations.sync(user, client=client, limit=5, explain=True))
assert explained.recommendations[0].contributions

preview = expect(PreviewResponse, create_preview.sync(client=client, body=PreviewRequest(likes=[first], limit=3)))
assert len(preview.recommendations) == 3

assert expect(Problem, get_movie.sync("999999999", client=client)).error == "movie not found"
expect(JwksResponse, jwks.sync(client=Client(base_url=BASE, raise_on_unexpected_status=True)))
print("Python client: 12 calls as documented")
