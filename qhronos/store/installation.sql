-- name: read_plan_shards
SELECT plan_shards FROM installation;
