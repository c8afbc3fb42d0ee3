"""`make bench`: every benchmark, one after the other; each prints its table."""

import asyncio

from benchmarks import attacks, gateway, graphql, pages, pickup, statements, subscribers, tables


async def main() -> None:
    print("## Job pick-up\n")
    await pickup.main()
    print("\n## Gateway\n")
    print(await gateway.measure())
    print("\n## GraphQL over HTTP\n")
    print(await graphql.measure())
    print("\n## SQL statements of a query\n")
    print(await statements.measure())
    print("\n## Pages of a long list\n")
    print(await pages.measure())
    print("\n## Attacks\n")
    print(await attacks.measure())
    print("\n## Subscribers\n")
    print(await subscribers.measure())
    print("\n## Tables\n")
    print(tables.measure())


if __name__ == "__main__":
    asyncio.run(main())
