"""The django-logpipe side of the exchange: sends people, or prints those that it receives.

    exchange.py kafka|kinesis FORMAT DATABASE send TOPIC       people on stdin, where each stands on stdout
    exchange.py kafka|kinesis FORMAT DATABASE receive TOPIC N  N people on stdout, with the bytes that carried them

All are lines of JSON. Kafka is at LOGPIPE_BOOTSTRAP, Kinesis where AWS_ENDPOINT_URL says.
"""

import json
import os
import sys
import time

import django
from django.conf import settings

BACKEND, FORMAT, DATABASE, COMMAND, TOPIC = sys.argv[1:6]
PATIENCE = 60

settings.configure(
    INSTALLED_APPS=["logpipe"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_TZ=True,
    LOGPIPE={
        "OFFSET_BACKEND": f"logpipe.backend.{BACKEND}.ModelOffsetStore",
        "CONSUMER_BACKEND": f"logpipe.backend.{BACKEND}.Consumer",
        "PRODUCER_BACKEND": f"logpipe.backend.{BACKEND}.Producer",
        "KAFKA_BOOTSTRAP_SERVERS": [os.environ.get("LOGPIPE_BOOTSTRAP", "")],
        "KAFKA_CONSUMER_KWARGS": {"group_id": "django-logpipe"},
        "KINESIS_REGION": os.environ.get("AWS_REGION", ""),
        "DEFAULT_FORMAT": FORMAT,
        "PRODUCER_ID": "interop",
    },
)
django.setup()

from django.core.management import call_command  # noqa: E402
from logpipe import Consumer, Producer  # noqa: E402
from rest_framework import serializers  # noqa: E402


class PersonV1(serializers.Serializer):
    MESSAGE_TYPE = "person"
    VERSION = 1
    KEY_FIELD = "uuid"
    uuid = serializers.UUIDField()
    first_name = serializers.CharField(max_length=200)
    last_name = serializers.CharField(max_length=200)


class PersonV2(PersonV1):
    VERSION = 2
    email = serializers.EmailField()


VERSIONS = {1: PersonV1, 2: PersonV2}


def send():
    producers = {version: Producer(TOPIC, serializer) for version, serializer in VERSIONS.items()}
    for line in sys.stdin:
        person = json.loads(line)
        sent = producers[person["version"]].send(person["message"])
        print(json.dumps({"lane": str(sent.partition), "position": str(sent.offset)}))


def receive(count):
    consumer = Consumer(TOPIC, throw_errors=True)
    for serializer in VERSIONS.values():
        consumer.register(serializer)
    deadline = time.monotonic() + PATIENCE
    while count > 0:
        if time.monotonic() > deadline:
            sys.exit(f"{count} records are missing after {PATIENCE} s")
        # It ends whenever there is nothing for a moment.
        for record, serializer in consumer:
            key = record.key.decode() if isinstance(record.key, bytes) else record.key
            print(
                json.dumps(
                    {
                        "lane": str(record.partition),
                        "key": key,
                        "version": serializer.VERSION,
                        "message": {name: str(value) for name, value in serializer.validated_data.items()},
                        "value": record.value.hex(),
                    }
                )
            )
            consumer.commit(record)
            count -= 1
            if count == 0:
                break


call_command("migrate", verbosity=0)
if BACKEND == "kinesis":
    import boto3

    boto3.client("kinesis", region_name=os.environ["AWS_REGION"]).get_waiter("stream_exists").wait(
        StreamName=TOPIC, WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE}
    )
if COMMAND == "send":
    send()
else:
    receive(int(sys.argv[6]))
