"""Drives boto3; the argument after the settings is its retry mode."""

from __future__ import annotations

import sys

import boto3
import storm
from botocore.config import Config

client = boto3.client("ecs", config=Config(retries={"mode": sys.argv[2]}, max_pool_connections=50))
method = client.run_task if storm.RUNS else client.start_task

storm.run(lambda number: storm.read(method(**storm.request(number))))
