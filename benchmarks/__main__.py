"""`make bench`: every benchmark, one after the other; each prints its table."""

import asyncio

from benchmarks import gateway, pickup


async def main() -> None:
    print("## Job pick-up\n")
    await pickup.main()
    print("\n## Gateway\n")
    print(await gateway.measure())


if __name__ == "__main__":
    asyncio.run(main())
