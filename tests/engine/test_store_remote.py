"""A bucket of a local S3 server."""

from __future__ import annotations

import boto3
import pytest
import torch
import zarr
from fake_encoder import features, volume
from moto.server import ThreadedMotoServer

from microsam_nb.core import StoreError
from microsam_nb.engine import embed, open_store
from microsam_nb.engine.tiling import Tiling

pytestmark = pytest.mark.usefixtures("encoder")


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """A new bucket's address; s3fs finds the server and the keys in the environment."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server,
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=server)
    client.create_bucket(Bucket="cells")
    yield "s3://cells"
    for one in client.list_objects_v2(Bucket="cells").get("Contents", ()):
        client.delete_object(Bucket="cells", Key=one["Key"])
    client.delete_bucket(Bucket="cells")


@pytest.mark.parametrize("tiling", [None, Tiling((30, 32), (4, 6))], ids=["whole", "tiled"])
def test_a_store_in_a_bucket_resumes(bucket, random_nano, encoder, tiling):
    image, where = volume(), f"{bucket}/embeddings/a.zarr"
    walk = embed(random_nano, image, open_store(where, random_nano, image, tiling), first_plane=1)
    next(walk), next(walk)
    walk.close()
    done = len(encoder.items)
    store = open_store(where, random_nano, image, tiling)
    assert not store.complete
    assert len(list(embed(random_nano, image, store))) == 3 * store.tiles - done
    encoder.items.clear()
    store = open_store(where, random_nano, image, tiling)
    assert store.complete
    for plane, tile in store.items():
        assert torch.equal(store.tile(plane, tile).features, features(image, random_nano, plane, tiling, tile))
    assert encoder.items == []
    assert "data_signature" in zarr.open_group(where, mode="r").attrs


def test_a_bucket_that_is_not_there(bucket, random_nano):
    with pytest.raises(StoreError) as error:
        open_store("s3://no-such-bucket-here/a.zarr", random_nano, volume())
    assert "Check the" in error.value.remedy
