{#- Tables by decision day are recomputed for exactly the days that intake named.

The days are rows, not vars: vars that change make dbt parse the whole project anew. -#}

{#- What a table that is recomputed by day starts with: DuckDB deletes the days and appends them,
Spark overwrites the partitions that a build brings rows for. -#}
{% macro recomputed_by_day(column='decision_date', on_schema_change='ignore') -%}
    {{ _recomputed(column, "forget_decision_days('" ~ column ~ "')", on_schema_change) }}
{%- endmacro %}

{% macro recomputed_by_month(column='decision_month', on_schema_change='ignore') -%}
    {{ _recomputed(column, "forget_decision_months('" ~ column ~ "')", on_schema_change) }}
{%- endmacro %}

{% macro _recomputed(column, forget, on_schema_change) -%}
    {{ config(
        materialized='incremental',
        incremental_strategy='insert_overwrite' if target.type == 'spark' else 'append',
        partition_by=column if target.type == 'spark' else none,
        on_schema_change=on_schema_change,
        pre_hook='{{ ' ~ forget ~ ' }}'
    ) }}
{%- endmacro %}

{% macro in_decision_days(column) -%}
    {{ among(column, named_days(), 'days.day', 'stg_build_days') }}
{%- endmacro %}

{#- A month is recomputed when one of its days is. -#}
{% macro in_decision_months(column) -%}
    {%- set month = "cast(date_trunc('month', days.day) as date)" -%}
    {{ among(column, months_of(named_days()), month, 'stg_build_days') }}
{%- endmacro %}

{#- Run before the recomputed days are appended, in the same transaction. -#}
{% macro forget_decision_days(column='decision_date') -%}
    {{ forget(column, named_days(), in_decision_days(column)) }}
{%- endmacro %}

{% macro forget_decision_months(column='decision_month') -%}
    {{ forget(column, months_of(named_days()), in_decision_months(column)) }}
{%- endmacro %}

{#- The days as the engine names them, for one that prunes by constants alone; else nothing. Never
while parsing: a variable that changes costs a new parse. -#}
{% macro named_days(variable='GOVERNANCE_DECISION_DAYS') -%}
    {{ env_var(variable, '') if execute and target.type == 'spark' }}
{%- endmacro %}

{% macro months_of(days) -%}
    {%- set months = [] -%}
    {%- for day in days.split() -%}{%- do months.append(day[:7] ~ '-01') -%}{%- endfor -%}
    {{ months | unique | join(' ') }}
{%- endmacro %}
