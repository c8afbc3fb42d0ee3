"""The executor: answers are put together in columns. It knows no noun, and neither `domain` nor `resolvers`."""
