"""The nation's and the provinces' first views, under policy and in the log: everyone in numbers, one person in full."""

from health_exchange.datacenter.person import PersonView
from health_exchange.model.errors import Category, ExchangeError
