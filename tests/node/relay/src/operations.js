// What a React console would write. Relay's compiler reads it; nothing runs it.
import { graphql } from "relay-runtime";

graphql`
  query operationsProjectsQuery {
    viewer {
      id
      name
    }
    projects(first: 10) {
      totalCount
      edges {
        cursor
        node {
          ...operationsProject
          ...operationsJobs
        }
      }
    }
  }
`;

graphql`
  fragment operationsProject on Project @refetchable(queryName: "operationsProjectRefetchQuery") {
    id
    name
    stage
    config {
      trainEvalSplit
    }
  }
`;

graphql`
  fragment operationsJobs on Project
  @refetchable(queryName: "operationsJobsPaginationQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 20 }, cursor: { type: "String" }) {
    jobs(first: $count, after: $cursor) @connection(key: "operationsJobs_jobs") {
      edges {
        node {
          id
          status
          progress
        }
      }
    }
  }
`;

graphql`
  fragment operationsItems on Dataset
  @refetchable(queryName: "operationsItemsPaginationQuery")
  @argumentDefinitions(
    first: { type: "Int" }
    after: { type: "String" }
    last: { type: "Int" }
    before: { type: "String" }
    filter: { type: "ItemFilter" }
  ) {
    items(first: $first, after: $after, last: $last, before: $before, filter: $filter)
      @connection(key: "operationsItems_items", filters: ["filter"]) {
      edges {
        node {
          id
          values
        }
      }
    }
  }
`;

graphql`
  fragment operationsProjects on Query
  @refetchable(queryName: "operationsProjectsPaginationQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 20 }, cursor: { type: "String" }) {
    projects(first: $count, after: $cursor) @connection(key: "operationsProjects_projects") {
      edges {
        node {
          ...operationsProject
        }
      }
    }
  }
`;

graphql`
  mutation operationsCreateMutation($input: CreateProjectInput!, $connections: [ID!]!) {
    createProject(input: $input) {
      project @prependNode(connections: $connections, edgeTypeName: "ProjectEdge") {
        ...operationsProject
      }
      userErrors {
        field
        message
        reason
      }
    }
  }
`;

graphql`
  mutation operationsDeleteMutation($input: DeleteInput!, $connections: [ID!]!) {
    deleteProject(input: $input) {
      deletedId @deleteEdge(connections: $connections) @deleteRecord
      userErrors {
        message
      }
    }
  }
`;

graphql`
  subscription operationsEventsSubscription($jobId: ID!, $after: String) {
    jobEvents(jobId: $jobId, after: $after) {
      __typename
      cursor
      ... on ProgressEvent {
        progress
        message
      }
    }
  }
`;
