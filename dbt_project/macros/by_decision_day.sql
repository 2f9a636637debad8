{#- Tables by decision day are recomputed for exactly the days that intake named.

The days are rows, not vars: vars that change make dbt parse the whole project anew. -#}

{#- What a table that is recomputed by day starts with: DuckDB deletes the days and appends them,
Spark overwrites the partitions that a build brings rows for. -#}
{% macro recomputed_by_day(column='decision_date', on_schema_change='ignore') -%}
    {{ _recomputed(column, "{{ forget_decision_days('" ~ column ~ "') }}", on_schema_change) }}
{%- endmacro %}

{% macro recomputed_by_month(column='decision_month', on_schema_change='ignore') -%}
    {{ _recomputed(column, "{{ forget_decision_months('" ~ column ~ "') }}", on_schema_change) }}
{%- endmacro %}

{% macro _recomputed(column, forget, on_schema_change) -%}
    {{ config(
        materialized='incremental',
        incremental_strategy='insert_overwrite' if target.type == 'spark' else 'append',
        partition_by=column if target.type == 'spark' else none,
        on_schema_change=on_schema_change,
        pre_hook=forget
    ) }}
{%- endmacro %}

{#- Run before the recomputed days are appended, in the same transaction. -#}
{% macro forget_decision_days(column='decision_date') -%}
    {{ return(adapter.dispatch('forget', 'governance')(in_decision_days(column))) }}
{%- endmacro %}

{% macro forget_decision_months(column='decision_month') -%}
    {{ return(adapter.dispatch('forget', 'governance')(in_decision_months(column))) }}
{%- endmacro %}

{% macro in_decision_days(column) -%}
    {{ return(adapter.dispatch('in_decision_days', 'governance')(column)) }}
{%- endmacro %}

{#- A month is recomputed when one of its days is. -#}
{% macro in_decision_months(column) -%}
    {{ return(adapter.dispatch('in_decision_months', 'governance')(column)) }}
{%- endmacro %}
