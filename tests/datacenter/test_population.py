from health_exchange.datacenter.population import across_provinces, population_view


def test_records_are_counted_by_type_and_province_of_their_origin() -> None:
    counts = {("Condition", "cn/33/3305/330521"): 6, ("Condition", "cn/33/3305/330522"): 7, ("Condition", "cn/51"): 9}
    view = population_view(counts, persons=60, persons_across_provinces=20).to_json()
    assert view["records"] == {"Condition": {"33": 13, "51": 9}}
    assert view["records_by_province"] == {"33": 13, "51": 9}
    assert (view["persons"], view["persons_across_provinces"], view["records_total"]) == (60, 20, 22)


def test_a_small_part_and_a_small_rest_of_the_persons_are_hidden() -> None:
    for persons, across, shown in [(60, 3, (60, None)), (60, 57, (60, None)), (4, 2, (None, None)), (60, 0, (60, 0))]:
        view = population_view({}, persons=persons, persons_across_provinces=across)
        assert (view.persons, view.persons_across_provinces) == shown


def test_a_person_seen_in_two_provinces_is_across_provinces() -> None:
    origins = {"p": ["cn/33/3305", "cn/51/5100"], "q": ["cn/33/3305", "cn/33/3306/330681"], "r": []}
    assert across_provinces(origins) == ["p"]
